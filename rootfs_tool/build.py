"""rootfs-tool build: packages -> tree -> images -> out/. One straight line."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from rootfs_tool import initscripts, kmod, output, paths, store
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import step
from rootfs_tool.images.base import Contents, ImageFormat
from rootfs_tool.manifest import Build, BuiltImage, Origin
from rootfs_tool.output import Output
from rootfs_tool.recipe import Recipe
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.tree import Directory, File, Symlink, Tree

EPOCH = 1_735_689_600  # 2025-01-01: the time of every file where no lock says another

Fetched = tuple[tuple[Source, Artefact], ...]


def build(
    recipe: Recipe, out: Path, *, lock: Path, locked: bool = False, update_lock: bool = False
) -> Build:
    """Build ``recipe`` into the directory ``out``, which then holds all that a target needs.

    ``lock`` is the file of pins; ``locked`` takes nothing else, ``update_lock`` renews it. What
    lay in ``out`` from an earlier build stays usable until this one is whole. Raises
    RootfsToolError.
    """
    board = recipe.board
    archive = Archive(
        suite=board.suite, arch=board.arch, lock=lock, locked=locked, update_lock=update_lock
    )
    with archive:
        kernel = board.kernel.fetch(archive)
        fetched = _fetch(recipe.all_sources, archive)
        epoch = source_date_epoch(archive.save_lock())
    artefacts = (kernel, *(artefact for _, artefact in fetched))
    device_tree = board.kernel.device_tree_file(kernel)

    with output.opened(out) as new, ThreadPoolExecutor(1) as beside:
        # 38 MB to copy and to hash, while the image is made
        image = beside.submit(new.copy, board.kernel.image(kernel), "Image")
        tree = make_tree(recipe, kernel, fetched)
        contents = Contents(rootfs=tree, initramfs=tree)
        done = Build(
            directory=out,
            board=board.name,
            arch=board.arch,
            cmdline=board.kernel_cmdline,
            epoch=epoch,
            images=_images(recipe.all_images, contents, new, epoch),
            device_tree=None if device_tree is None else new.copy(device_tree, device_tree.name),
            recipe=new.text("recipe.json", recipe.model_dump_json(indent=2) + "\n"),
            artefacts=tuple(_origin(artefact, new) for artefact in artefacts),
            kernel=image.result(),
        )
        new.finish(done)
    return done


def make_tree(recipe: Recipe, kernel: Artefact, fetched: Fetched) -> Tree:
    """The rootfs in memory. Raises ConfigError if two things want the same path."""
    board = recipe.board
    tree = Tree()
    initscripts.skeleton(tree)
    for source, artefact in fetched:
        source.install(artefact, tree)
    assert kernel.files is not None  # it is a package
    modules = board.kernel.modules(kernel)
    kmod.add(tree, recipe.all_modules, kernel=kernel.files, directory=modules)
    _add_init(tree, recipe)
    for overlay in recipe.overlay:
        _lay_over(tree, overlay)
    return tree


def source_date_epoch(locked: int | None) -> int:
    """The time of every file in the images, in seconds since 1970.

    SOURCE_DATE_EPOCH, as reproducible-builds.org specifies it, or what the lock says. Raises ConfigError if it is not a
    number, or more than a cpio archive can hold.
    """
    said = os.environ.get("SOURCE_DATE_EPOCH") or str(EPOCH if locked is None else locked)
    if not said.isdecimal() or int(said) >= 1 << 32:
        raise ConfigError(f"SOURCE_DATE_EPOCH must be seconds since 1970, below 2**32, not {said}")
    return int(said)


def _fetch(sources: Sequence[Source], archive: Archive) -> Fetched:
    return tuple((source, artefact) for source in sources for artefact in source.fetch(archive))


def _add_init(tree: Tree, recipe: Recipe) -> None:
    """Add the init files, from the cache if they are rendered from the same as before.

    Rendering is the slowest part of a build that has everything else in the cache. A user's own
    templates may include any file, so what they make is not kept.
    """
    board = recipe.board

    def render(into: Tree) -> Tree:
        initscripts.add(
            into,
            network=board.network,
            line=board.console,
            modules=recipe.all_modules,
            root_password=board.root_password,
        )
        return into

    packaged = paths.packaged("templates").resolve()
    if any(path.is_dir() and path.resolve() != packaged for path in paths.search_path("templates")):
        render(tree)
        return
    values = (board.network, board.console, recipe.all_modules, board.root_password)
    key = hashlib.sha256(repr(values).encode())
    for path in (Path(initscripts.__file__), *sorted(packaged.glob("init/*"))):
        key.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    for name, node in store.kept("init", key.hexdigest(), lambda: render(Tree()).walk()):
        tree.add(name, node, origin="the init files")


def _images(
    formats: Sequence[ImageFormat], contents: Contents, new: Output, epoch: int
) -> tuple[BuiltImage, ...]:
    built = []
    for format in formats:
        with step(f"write {format.filename}"):
            format.write(contents, new.reserve(format.filename), epoch=epoch)
        built.append(BuiltImage(format=format.type, file=new.measure(format.filename)))
    return tuple(built)


def _origin(artefact: Artefact, new: Output) -> Origin:
    name = f"licences/{artefact.name}"
    if artefact.licence is not None and name not in new.names:
        new.copy(artefact.licence, name)
    return Origin(
        name=artefact.name,
        version=artefact.version,
        sha256=artefact.sha256,
        origin=artefact.origin,
        licence=name if artefact.licence is not None else None,
        replaces=artefact.replaces,
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
                tree.add(path, File(content=host, mode=kept), origin=origin, replace=True)
            else:
                raise ConfigError(f"{host} is neither file, directory nor symbolic link")


def _unreadable(error: OSError) -> None:
    raise ConfigError(f"{error.filename}: {error.strerror}") from None
