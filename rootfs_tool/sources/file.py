"""A file you already have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.tree import File, Tree


class LocalFile(Source):
    """A file you already have."""

    type: Literal["file"] = "file"

    path: Path
    """The file on this host."""

    to: str
    """Where it goes on the board."""

    mode: int = 0o644
    """Its permission bits, best written in octal: 0o755."""

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        return (_artefact(self.path, self.path.name, origin="file"),)

    def install(self, artefact: Artefact, tree: Tree) -> None:
        node = File(content=artefact.path, mode=self.mode)
        tree.add(self.to, node, origin=str(artefact.path))


def below(directory: Path) -> Iterator[Artefact]:
    """The files of an overlay, called by their paths from the directory that holds it on.

    Raises ConfigError if one can't be read.
    """
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = f"{directory.name}/{path.relative_to(directory)}"
            yield _artefact(path, name, origin="overlay")


def _artefact(path: Path, name: str, *, origin: str) -> Artefact:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return Artefact(name=name, version="", sha256=digest, origin=origin, path=path)
