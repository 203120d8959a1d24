"""What a card needs to grow: Debian's sfdisk and resize2fs, with the libraries that they load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import FetchError
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import File, Symlink, Tree

PROGRAMS = ("sfdisk", "resize2fs")
# The packages of both programs and of every library that they load.
PACKAGES = (
    *("e2fsprogs", "fdisk", "libblkid1", "libc6", "libcom-err2", "libext2fs2t64", "libfdisk1"),
    *("libreadline8t64", "libsmartcols1", "libtinfo6", "libuuid1"),
)
_PLACE = re.compile(r"(/usr)?/(sbin|lib(/[a-z0-9_]+-linux-gnu)?)")
LOADER = "ld-linux"
OLDER = ("bullseye", "bookworm")  # before the libraries with 64-bit times had names of their own


def fetch(archive: Archive) -> tuple[Artefact, ...]:
    """Have the packages on this host. Raises FetchError."""
    older = archive.suite in OLDER
    return tuple(archive.fetch(name.removesuffix("t64") if older else name) for name in PACKAGES)


def install(artefacts: Sequence[Artefact], tree: Tree) -> None:
    """Put the programs and just the libraries that they load into ``tree``.

    Raises FetchError if the packages lack one.
    """
    from rootfs_tool import elf  # not free to import, and only for a card that grows

    todo = list(PROGRAMS)
    done: set[str] = set()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        path, content, package = _find(name, artefacts)
        tree.add(path, File(content=content, mode=0o755), origin=f"package {package}", replace=True)
        if name.startswith(LOADER):  # every program names it by this path, PT_INTERP of elf(5)
            tree.add(f"/usr/lib/{name}", Symlink(path), origin=f"package {package}")
        todo += elf.needed(content)


def _find(name: str, artefacts: Sequence[Artefact]) -> tuple[str, Path, str]:
    """Where a program or library goes, its bytes on this host, and the package that has it."""
    for artefact in artefacts:
        assert artefact.files is not None  # fetch() gives packages alone
        for path in artefact.files.rows:
            if _PLACE.fullmatch(path.removesuffix(f"/{name}")) and path.endswith(f"/{name}"):
                file = path
                while isinstance(to := artefact.files.rows[file][3], str):  # a link beside it
                    file = f"{file.rpartition('/')[0]}/{to}"
                    if file not in artefact.files.rows:
                        break
                else:
                    return path, artefact.files.checked(file), artefact.name
    raise FetchError(f"none of {', '.join(PACKAGES)} has {name}, which a card needs to grow")
