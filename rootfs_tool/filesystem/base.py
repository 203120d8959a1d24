"""What every reader of a file system offers, without root and without mounting."""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, directory, link or device.

    ``mode`` is ``st_mode`` as in inode(7), type and permissions; ``size`` is in bytes, ``mtime`` in
    seconds since 1970. ``to`` is a symbolic link's target, ``major`` and ``minor`` a device's.
    ``inode`` is 0 where the file system has none. ``extents`` are the places of its bytes, in
    order, as (offset, length) in the image file; empty if they do not lie there as they are.
    ``stored`` is how many bytes it takes in the image once compressed; None where files are not.
    """

    path: PurePosixPath
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    to: str = ""
    major: int = 0
    minor: int = 0
    inode: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    extents: tuple[tuple[int, int], ...] = ()
    stored: int | None = None

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


class Filesystem(ABC):
    """A file system in an image file, read where it lies."""

    kind: str
    """Its name: "vfat", "ext4", "squashfs", "erofs", "cpio"."""

    label: str = ""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Every entry, parents first, sorted by path; the first one is ``/``.

        Raises ConfigError if what is read cannot be right.
        """

    @abstractmethod
    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file, piece by piece. Raises ConfigError if it is damaged."""
