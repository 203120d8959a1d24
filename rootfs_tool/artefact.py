"""Pinned bytes from somewhere: a package, a file, a program we compiled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.store import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """Bytes on this host, and where they came from.

    ``origin`` is readable ("debian trixie/arm64"), ``sha256`` is of the bytes as they were fetched
    (64 hexadecimal digits), ``path`` is what they became in the cache: a file, or the directory
    that a package was unpacked to; then ``files`` says what is in it. ``replaces`` is the pinned
    version, if the archive no longer had that one.
    """

    name: str
    version: str
    sha256: str
    origin: str
    path: Path
    files: Stored | None = None
    licence: Path | None = None
    replaces: str | None = None
