"""A package of Debian's: its files, without what nobody reads on a board."""

from __future__ import annotations

from typing import Annotated, Literal

from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Matching
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.tree import Tree

PackageName = Annotated[
    str,
    # Debian policy 5.6.7
    Matching("[a-z0-9][a-z0-9+.-]+", "a package's name: small letters, digits, +, . and -"),
]
Component = Literal["main", "contrib", "non-free", "non-free-firmware"]

LEFT_OUT = tuple(f"/usr/share/{one}" for one in ("bug", "doc", "info", "lintian", "locale", "man"))


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
        assert artefact.files is not None  # fetch() gives packages alone
        for path, node in artefact.files.nodes():
            if not any(path == one or path.startswith(f"{one}/") for one in LEFT_OUT):
                tree.add(path, node, origin=f"package {artefact.name}")
