"""A block device that is ours alone from the first look to the last read-back."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.errors import DeviceError

# linux/fs.h, linux/cdrom.h
_BLKROGET = 0x125E
_BLKRRPART = 0x125F
_BLKFLSBUF = 0x1261
_BLKSSZGET = 0x1268
_BLKZEROOUT = 0x127F
_BLKGETSIZE64 = 0x80081272
_CDROMEJECT = 0x5309

Buffer = mmap.mmap | memoryview  # of whole pages
IN_FLIGHT = 2  # requests that a device has at a time, so that it never waits for the next one
_OTHER = "try another card, and another reader"
_WHY = {
    errno.EBUSY: "it is in use: mounted, or another program (another flash?) has it open",
    errno.EROFS: "it is read-only: is there a lock switch on the card?",
    errno.ENOMEDIUM: "there is no card in it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """``name`` is how errors call it; ``size`` and ``sector`` are in bytes.

    ``direct`` says that reads and writes pass the page cache by (O_DIRECT, open(2)): what is read
    then comes from the device.
    """

    fd: int
    name: str
    size: int
    sector: int
    direct: bool

    def read(self, buffer: Buffer, start: int, end: int) -> None:
        """Fill the front of a buffer with whole sectors. Raises DeviceError naming the place."""
        at, stop = start, self._up(end)
        while at < stop:
            try:
                got = os.preadv(self.fd, [memoryview(buffer)[at - start : stop - start]], at)
            except OSError as error:
                raise self._failed("read", at, end, error) from None
            if not got:
                raise DeviceError(f"{self.name} ends at {at:,}, before its {self.size:,} bytes")
            at += got

    def write(self, buffer: Buffer, start: int, end: int) -> None:
        """Write the front of a buffer, whole sectors. Raises DeviceError naming the place."""
        at, stop = start, self._up(end)
        while at < stop:
            try:
                at += os.pwritev(self.fd, [memoryview(buffer)[at - start : stop - start]], at)
            except OSError as error:
                raise self._failed("write", at, end, error) from None

    def zero(self, start: int, end: int) -> None:
        """Have zeros there, whether by a command of the device or by writing them.

        The kernel promises zeros here, which it does not for a discard (blkdev_issue_zeroout).
        """
        try:
            fcntl.ioctl(self.fd, _BLKZEROOUT, struct.pack("QQ", start, self._up(end) - start))
        except OSError as error:
            raise self._failed("write", start, end, error) from None

    def flush(self) -> None:
        """Have all that was written on the device, and nothing of it in the page cache."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise DeviceError(
                f"{self.name} failed to keep what was written to it: {error.strerror}", hint=_OTHER
            ) from None
        if not self.direct:
            try:
                fcntl.ioctl(self.fd, _BLKFLSBUF)
            except PermissionError:  # it is for root alone
                os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def reread_table(self) -> bool:
        """Have the kernel look at the partition table again; False if it won't now."""
        return self._asked(_BLKRRPART, unknown=True)

    def eject(self) -> bool:
        """Have the reader let go of its card; False if it knows no such command."""
        return self._asked(_CDROMEJECT, unknown=False)

    def _asked(self, request: int, *, unknown: bool) -> bool:
        """Whether the device does as it is asked; ``unknown`` if it has no such thing to do."""
        try:
            fcntl.ioctl(self.fd, request)
        except OSError as error:
            return unknown and error.errno in (errno.EINVAL, errno.ENOTTY)
        return True

    def _up(self, end: int) -> int:
        return -(-end // self.sector) * self.sector

    def _failed(self, verb: str, start: int, end: int, error: OSError) -> DeviceError:
        return DeviceError(
            f"{self.name} can't {verb} its bytes {start:,} to {end:,}: {error.strerror}",
            hint=_OTHER,
        )


@contextmanager
def opened(path: Path, *, rdev: int, name: str, direct: bool = True) -> Iterator[Device]:
    """The device at ``path``, which must still be the one with the number ``rdev``.

    Nobody else can open it in the same way, mount it or a partition of it (O_EXCL on a block
    device, open(2)), until the block ends; and nothing is ever created. Raises DeviceError.
    """
    try:
        _same(path.stat(), path, rdev)  # opening a tape or a pipe does something to it
        fd, direct = _open(path, direct)
    except OSError as error:
        why = _WHY.get(error.errno or 0, error.strerror)
        raise DeviceError(f"{name} can't be opened for writing: {why}") from None
    try:
        _same(os.fstat(fd), path, rdev)
        if any(fcntl.ioctl(fd, _BLKROGET, bytes(4))):  # Linux opens a loop device all the same
            raise DeviceError(f"{name} can't be opened for writing: {_WHY[errno.EROFS]}")
        (size,) = struct.unpack("Q", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(8)))
        (sector,) = struct.unpack("i", fcntl.ioctl(fd, _BLKSSZGET, bytes(4)))
        yield Device(fd=fd, name=name, size=size, sector=sector, direct=direct)
    finally:
        os.close(fd)


def _open(path: Path, direct: bool) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
    if direct:
        try:
            return os.open(path, flags | os.O_DIRECT), True
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return os.open(path, flags), False


def _same(status: os.stat_result, path: Path, rdev: int) -> None:
    if not stat.S_ISBLK(status.st_mode):
        raise DeviceError(f"{path} is not a block device")
    if status.st_rdev != rdev:
        raise DeviceError(
            f"{path} is not the device it was a moment ago", hint="look again which one it is"
        )
