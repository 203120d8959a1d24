"""Files that boards send: whole in their place or not at all, and never too large."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd import beneath
from rootfs_tool.tftpd.base import MIB, Code, Refused, Upload

PREFIX = b".tftp-upload-"  # what is not whole yet is called so, and served to nobody
LARGEST = 1024 * MIB

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Uploads:
    """Takes files into ``directory`` and the directories that are in it already.

    ``largest`` is in bytes. What is whole survives the end of this program, not a power cut in the
    next seconds: to wait for the disk would hold up every other board.
    """

    def __init__(self, directory: Path, *, overwrite: bool = False, largest: int = LARGEST) -> None:
        """Raises ConfigError if ``directory`` is none, or may not be written."""
        try:
            self.fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise ConfigError(
                f"--allow-write {directory}: {error.strerror}",
                hint=f"mkdir -p {shlex.quote(str(directory))} makes it" if missing else None,
            ) from None
        self._path = directory
        self._open = beneath.opener(self.fd)
        self._overwrite = overwrite
        self._largest = largest

    def close(self) -> None:
        os.close(self.fd)

    def prepare(self) -> None:
        """Delete what a killed server has left. Raises ConfigError if nothing may be written."""
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.fd, effective_ids=True):
            raise ConfigError(
                f"--allow-write {self._path}: this user may not write there",
                hint=f"chown it, or --user {self._path.owner()} when started as root",
            )
        with os.scandir(self.fd) as entries:
            left = [one.name for one in entries if os.fsencode(one.name).startswith(PREFIX)]
        for name in left:
            self._sweep(name)

    def _sweep(self, name: str) -> None:
        """One that another server of this directory is writing is locked."""
        with suppress(OSError):
            fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=self.fd)
            finally:
                os.close(fd)

    def create(self, path: bytes, size: int | None) -> Upload:
        """A file that arrives at ``path``; ``size`` in bytes, if it is known. Raises Refused."""
        place, _, name = path.rpartition(b"/")
        if name.startswith(PREFIX):
            raise Refused(Code.ACCESS_VIOLATION, "the server uses such names itself")
        if size is not None:
            self._check(size)
        try:
            parent = self._open(self.fd, place or b".", os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise _refused(error) from None
        try:
            _check_free(parent, name, overwrite=self._overwrite)
            return Arriving(self.fd, parent, name, overwrite=self._overwrite, largest=self._largest)
        except BaseException:
            os.close(parent)
            raise

    def _check(self, size: int) -> None:
        if size > self._largest:
            raise _too_large(self._largest)
        disk = os.fstatvfs(self.fd)
        if size > disk.f_bavail * disk.f_frsize:
            raise Refused(Code.DISK_FULL, "the server's disk has no room for it")


class Arriving(Upload):
    """A file under a name of its own, which ``commit`` gives the right one."""

    def __init__(
        self, directory: int, parent: int, name: bytes, *, overwrite: bool, largest: int
    ) -> None:
        """``parent`` becomes ours, unless Refused is raised; ``directory`` does not."""
        self._directory, self._parent, self._name = directory, parent, name
        self._overwrite, self._left, self._largest = overwrite, largest, largest
        self._temporary = PREFIX + secrets.token_hex(8).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._fd = os.open(self._temporary, flags, 0o644, dir_fd=directory)
        except OSError as error:
            raise _refused(error) from None
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._largest)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise _refused(error) from None

    def commit(self) -> None:
        _check_free(self._parent, self._name, overwrite=self._overwrite)
        try:
            if self._overwrite:
                os.rename(
                    self._temporary,
                    self._name,
                    src_dir_fd=self._directory,
                    dst_dir_fd=self._parent,
                )
            else:
                self._place()
        except OSError as error:
            raise _refused(error) from None
        self._end()

    def discard(self) -> None:
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._directory)
        self._end()

    def _place(self) -> None:
        """Give it its name, unless somebody has been faster."""
        os.link(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._parent)
        os.unlink(self._temporary, dir_fd=self._directory)

    def _end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._parent)
            self._fd = -1


def _check_free(parent: int, name: bytes, *, overwrite: bool) -> None:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(error) from None
    if not overwrite:
        raise Refused(Code.EXISTS, "the file exists already")
    if not stat.S_ISREG(mode):
        raise Refused(Code.ACCESS_VIOLATION, "not a regular file")


def _too_large(largest: int) -> Refused:
    return Refused(Code.DISK_FULL, f"more than the {largest} bytes that the server takes")


def _refused(error: OSError) -> Refused:
    if error.errno in _FULL:
        return Refused(Code.DISK_FULL, "the server's disk is full")
    if error.errno == errno.EEXIST:
        return Refused(Code.EXISTS, "the file exists already")
    if error.errno == errno.EPERM:
        return Refused(Code.ACCESS_VIOLATION, "the server's disk has no hard links: --overwrite")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Refused(Code.ACCESS_VIOLATION, "the server has no such directory")
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return Refused(Code.ACCESS_VIOLATION, "a symbolic link leads out of the directory")
    return Refused(Code.ACCESS_VIOLATION, f"the server can't write it: {error.strerror}")
