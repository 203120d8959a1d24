"""A package of Debian's: its files, without what nobody reads on a board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal

from rootfs_tool import events
from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Matching
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.tree import Symlink, Tree

PackageName = Annotated[
    str,
    # Debian policy 5.6.7
    Matching("[a-z0-9][a-z0-9+.-]+", "a package's name: small letters, digits, +, . and -"),
]
Component = Literal["main", "contrib", "non-free", "non-free-firmware"]

LEFT_OUT = tuple(f"/usr/share/{one}" for one in ("bug", "doc", "info", "lintian", "locale", "man"))
BUSYBOX = Symlink("busybox")  # what each of its programs is (busybox.py)


class Deb(Source):
    """The files of a Debian package, without documentation and translations.

    What the package depends on is not added, and its maintainer scripts do not run.
    """

    type: Literal["deb"] = "deb"

    package: PackageName
    """Its name in Debian's archive."""

    component: Component = "main"
    """The part of the archive that has it."""

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        return (archive.fetch(self.package, component=self.component),)

    def install(self, artefact: Artefact, tree: Tree) -> None:
        say_replaced(install(artefact, tree), tree)


def install(artefact: Artefact, tree: Tree) -> tuple[str, ...]:
    """Put a package's files into ``tree``, without what nobody reads on a board.

    Returns the programs that took the place of BusyBox's of the same name.
    """
    assert artefact.files is not None  # it is a package
    replaced: list[str] = []
    for path, node in artefact.files.nodes():
        if any(path == one or path.startswith(f"{one}/") for one in LEFT_OUT):
            continue
        if isinstance(node, Symlink) and _is_itself(path, node, tree):
            continue
        if ours := tree.get(path) == BUSYBOX:
            replaced.append(path)
        tree.add(path, node, origin=f"package {artefact.name}", replace=ours)
    return tuple(replaced)


def say_replaced(programs: Sequence[str], tree: Tree) -> None:
    """Say for which ``programs`` the shell has its own: it is built with FEATURE_SH_STANDALONE."""
    if programs and tree.get("/bin/sh") == BUSYBOX:
        names = ", ".join(PurePosixPath(path).name for path in programs)
        events.note(
            f"BusyBox's shell runs its own {names} first: write the whole path, as {programs[0]}, "
            "or add the package dash, which takes its place"
        )


def _is_itself(path: str, link: Symlink, tree: Tree) -> bool:
    """Whether a link of /usr/sbin leads to the same name in /usr/bin: here they are one."""
    at, to = PurePosixPath(path), PurePosixPath(path).parent / link.to
    return at.name == to.name and tree.resolve(at) == tree.resolve(to)
