"""What a card needs to grow: Debian's sfdisk and resize2fs, with the libraries that they load."""

from __future__ import annotations

from collections.abc import Sequence

from rootfs_tool.artefact import Artefact
from rootfs_tool.sources import linked
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import Tree

PROGRAMS = ("sfdisk", "resize2fs")
# The packages of both programs and of every library that they load.
PACKAGES = (
    *("e2fsprogs", "fdisk", "libblkid1", "libc6", "libcom-err2", "libext2fs2t64", "libfdisk1"),
    *("libreadline8t64", "libsmartcols1", "libtinfo6", "libuuid1"),
)
OLDER = ("bullseye", "bookworm")  # before the libraries with 64-bit times had names of their own


def fetch(archive: Archive) -> tuple[Artefact, ...]:
    """Have the packages on this host. Raises FetchError."""
    older = archive.suite in OLDER
    names = tuple(name.removesuffix("t64") if older else name for name in PACKAGES)
    archive.ahead(names)
    return tuple(archive.fetch(name) for name in names)


def install(artefacts: Sequence[Artefact], tree: Tree) -> None:
    """Put the programs and just the libraries that they load into ``tree``.

    Raises FetchError if the packages lack one.
    """
    linked.install(PROGRAMS, artefacts, tree, purpose="which a card needs to grow")
