"""The bytes of an image file, read where they are asked for, and never written."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

from rootfs_tool.errors import ConfigError

CHUNK = 1 << 18  # bytes read at a time
# What is unpacked goes not into /tmp, which is RAM on many hosts (file-hierarchy(7)).
SCRATCH = os.environ.get("TMPDIR", "/var/tmp")


class ImageFile:
    """An image that begins at the byte ``offset`` of the file ``path``.

    Raises ConfigError if ``path`` can't be read or is neither a file nor a disk.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.is_unpacked = False
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        self._keep(descriptor)
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise ConfigError(f"{path} is not an image file")
        self.size = os.lseek(descriptor, 0, os.SEEK_END) - offset

    @classmethod
    def unpacked(cls, path: Path, pieces: Iterable[bytes], *, most: int) -> ImageFile:
        """The bytes of ``pieces``, which ``path`` holds compressed, in a file that has no name.

        Raises ConfigError if there are more than ``most``.
        """
        descriptor, name = tempfile.mkstemp(prefix="rootfs-tool-", dir=SCRATCH)
        Path(name).unlink()
        made = cls.__new__(cls)
        made.path, made.offset, made.size, made.is_unpacked = path, 0, 0, True
        made._keep(descriptor)
        for piece in pieces:
            made.size += len(piece)
            if made.size > most:
                raise ConfigError(f"{path} unpacks to more than {most >> 20} MiB")
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]
        return made

    def _keep(self, descriptor: int) -> None:
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def at(self, offset: int, length: int) -> bytes:
        """That many bytes from there. Raises ConfigError if the file ends before."""
        data = self.some(offset, length)
        if len(data) != length:
            raise ConfigError(f"{self.path} is damaged or cut short")
        return data

    def some(self, offset: int, length: int) -> bytes:
        """At most that many bytes from there: fewer only where the file ends."""
        if offset < 0 or offset > self.size or length < 0:
            return b""
        try:
            return os.pread(self._descriptor, length, self.offset + offset)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from None

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The same, piece by piece."""
        for at in range(offset, offset + length, CHUNK):
            yield self.at(at, min(CHUNK, offset + length - at))

    def data_from(self, offset: int) -> int:
        """The first byte from there on that is in no hole of the file; its size if none is."""
        try:
            return os.lseek(self._descriptor, self.offset + offset, os.SEEK_DATA) - self.offset
        except OSError as error:
            if error.errno == errno.ENXIO:
                return max(self.size, offset)
            return offset  # a file system that knows no holes
