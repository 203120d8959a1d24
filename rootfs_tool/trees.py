"""The trees of a build: the rootfs, the initramfs that finds it, and the boot partition."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rootfs_tool import account, initscripts, kmod, network, paths, store, treecheck
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError
from rootfs_tool.firmware.base import Payload
from rootfs_tool.images import SdCard
from rootfs_tool.images.base import DATA_PARTITION, ROOT_PARTITION, Contents, Root
from rootfs_tool.initscripts import Early, Init
from rootfs_tool.recipe import Recipe
from rootfs_tool.service import ordered
from rootfs_tool.sources import growing, packages
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.busybox import Busybox
from rootfs_tool.sources.file import below
from rootfs_tool.tree import Directory, File, Symlink, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Everything from elsewhere that a build needs, on this host."""

    kernel: Artefact
    sources: tuple[tuple[Source, Artefact], ...]
    firmware: tuple[Artefact, ...] = ()
    growing: tuple[Artefact, ...] = ()
    overlays: tuple[Artefact, ...] = ()
    packages: tuple[Artefact, ...] = ()
    ssh: tuple[Artefact, ...] = ()

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """Each package and file once, the kernel first."""
        sources = (artefact for _, artefact in self.sources)
        found = (
            *(self.kernel, *sources, *self.firmware, *self.growing, *self.overlays),
            *(*self.packages, *self.ssh),
        )
        return tuple({(artefact.name, artefact.sha256): artefact for artefact in found}.values())


def fetch(recipe: Recipe, archive: Archive) -> Fetched:
    """The only step of a build that may use the network. Raises FetchError."""
    board, card = recipe.board, card_of(recipe)
    return Fetched(
        kernel=board.kernel.fetch(archive),
        sources=tuple(
            (source, artefact)
            for source in recipe.all_sources
            for artefact in source.fetch(archive)
        ),
        firmware=board.firmware.fetch(archive) if card and board.firmware else (),
        growing=growing.fetch(archive) if card and card.grow else (),
        packages=packages.fetch(recipe.packages, archive),
        ssh=recipe.ssh.fetch(archive) if recipe.ssh else (),
        overlays=tuple(artefact for overlay in recipe.overlay for artefact in below(overlay)),
    )


def contents(recipe: Recipe, fetched: Fetched, *, initramfs: Path) -> Contents:
    """What the images are made from; ``initramfs`` is where that image is going to be.

    Raises ConfigError if two things want the same path, or something that is named is not there.
    """
    rootfs = make_rootfs(recipe, fetched)
    root = recipe.board.root
    return Contents(
        root=root,
        rootfs=rootfs,
        initramfs=rootfs if root is Root.RAM else make_early(recipe, fetched),
        boot=make_boot(recipe, fetched, initramfs),
    )


def card_of(recipe: Recipe) -> SdCard | None:
    """The SD card among the images that are wanted."""
    return next((image for image in recipe.all_images if isinstance(image, SdCard)), None)


def make_rootfs(recipe: Recipe, fetched: Fetched) -> Tree:
    tree = Tree()
    initscripts.skeleton(tree)
    for source, artefact in fetched.sources:
        source.install(artefact, tree)
    packages.install(fetched.packages, tree)
    if recipe.ssh is not None:
        recipe.ssh.install(fetched.ssh, tree)
    _add_modules(tree, recipe, fetched, recipe.all_modules)
    _add_init(tree, recipe)
    for overlay in recipe.overlay:
        _lay_over(tree, overlay)
    account.settle(tree, recipe.user)
    if recipe.ssh is not None:
        recipe.ssh.authorize(tree)
    people = account.accounts(recipe.user)
    treecheck.check(tree, recipe.all_services, recipe.board.arch, people)
    return tree


def make_early(recipe: Recipe, fetched: Fetched) -> Tree:
    """The initramfs of a rootfs on a card: BusyBox, the modules of the disk, and one script."""
    board, card = recipe.board, card_of(recipe)
    assert board.disk is not None  # a board whose / is on one has one
    overlay = board.root is Root.OVERLAY
    data = board.disk.partition(DATA_PARTITION) if overlay and card and card.data_size else None
    last = DATA_PARTITION if data else ROOT_PARTITION
    systems = ("squashfs", "overlay", *(("ext4",) if data else ())) if overlay else ("ext4",)
    how = Early(
        root=f"/dev/{board.disk.partition(ROOT_PARTITION)}",
        modules=(*board.disk.modules, *systems),
        wait=board.disk.wait,
        overlay=overlay,
        data=f"/dev/{data}" if data else None,
        grow=last if card and card.grow and (data or not overlay) else 0,
    )
    tree = Tree()
    initscripts.skeleton(tree)
    for source, artefact in fetched.sources:
        if isinstance(source, Busybox):
            source.install(artefact, tree)
    _add_modules(tree, recipe, fetched, how.modules)
    if how.grow:
        growing.install(fetched.growing, tree)
    initscripts.early(tree, how)
    return tree


def make_boot(recipe: Recipe, fetched: Fetched, initramfs: Path) -> Tree:
    """The boot partition, empty if the board's profile says of no firmware."""
    tree = Tree()
    board = recipe.board
    if board.firmware is not None and card_of(recipe):
        payload = Payload(
            kernel=board.kernel.image(fetched.kernel),
            initramfs=initramfs,
            device_tree=lambda name: board.kernel.device_tree_called(name, fetched.kernel),
            cmdline=board.kernel_cmdline,
        )
        board.firmware.fill(tree, fetched.firmware, payload)
    return tree


def _add_modules(tree: Tree, recipe: Recipe, fetched: Fetched, names: Sequence[str]) -> None:
    assert fetched.kernel.files is not None  # it is a package
    directory = recipe.board.kernel.modules(fetched.kernel)
    kmod.add(tree, names, kernel=fetched.kernel.files, directory=directory)


def _add_init(tree: Tree, recipe: Recipe) -> None:
    """Add the init files, from the cache if they are rendered from the same as before.

    Rendering is the slowest part of a build that has everything else in the cache. A user's own
    templates may include any file, so what they make is not kept.
    """
    init = init_of(recipe)
    packaged = paths.packaged("templates").resolve()
    if any(path.is_dir() and path.resolve() != packaged for path in paths.search_path("templates")):
        initscripts.add(tree, init)
        return

    def rendered() -> Tree:
        made = Tree()
        initscripts.add(made, init)
        return made

    key = hashlib.sha256(repr(init).encode())
    code = (Path(initscripts.__file__), *sorted(Path(network.__file__).parent.glob("*.py")))
    for path in (*code, *sorted(packaged.glob("init/*"))):
        key.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    for name, node in store.kept("init", key.hexdigest(), lambda: rendered().walk()):
        tree.add(name, node, origin="the init files")


def init_of(recipe: Recipe) -> Init:
    """What the recipe's init files are made from."""
    board = recipe.board
    return Init(
        network=board.network,
        line=board.console,
        modules=recipe.all_modules,
        root_password=board.root_password,
        root=board.root,
        services=ordered(recipe.all_services),
        users=recipe.user,
        syslog=recipe.logs,
    )


def _lay_over(tree: Tree, overlay: Path) -> None:
    """Put everything below the directory ``overlay`` over what is in the tree.

    Of a file's mode only that it may be executed, or runs as its owner, counts: the rest is the
    umask's. Raises ConfigError on anything but files, directories and symbolic links.
    """
    origin = f"the overlay {overlay}"
    for directory, names, files in os.walk(overlay, onerror=_unreadable):
        for name in sorted((*names, *files)):
            host = Path(directory, name)
            path = PurePosixPath("/", host.relative_to(overlay))
            mode = host.lstat().st_mode
            if stat.S_ISLNK(mode):
                tree.add(path, Symlink(str(host.readlink())), origin=origin, replace=True)
            elif stat.S_ISDIR(mode):
                if not isinstance(tree.get(path), Directory):  # whose mode stays, as /tmp's
                    tree.add(path, Directory(), origin=origin, replace=True)
            elif stat.S_ISREG(mode):
                kept = (0o755 if mode & 0o100 else 0o644) | mode & (stat.S_ISUID | stat.S_ISGID)
                file = File(content=host, mode=kept, xattrs=_xattrs(host))
                tree.add(path, file, origin=origin, replace=True)
            else:
                raise ConfigError(f"{host} is neither file, directory nor symbolic link")


def _xattrs(path: Path) -> tuple[tuple[str, bytes], ...]:
    """What a person gave a file: capabilities and attributes of the user's, not a host's labels."""
    with suppress(OSError):  # its file system has none
        return tuple(
            (name, os.getxattr(path, name))
            for name in sorted(os.listxattr(path))
            if name == "security.capability" or name.startswith("user.")
        )
    return ()


def _unreadable(error: OSError) -> None:
    raise ConfigError(f"{error.filename}: {error.strerror}") from None
