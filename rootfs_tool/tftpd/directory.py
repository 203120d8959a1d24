"""A directory whose files are served: never a byte from outside it, never a wait."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from rootfs_tool.errors import ConfigError
from rootfs_tool.printable import printable
from rootfs_tool.tftpd import beneath, names
from rootfs_tool.tftpd.base import Code, Files, Opened, Refused, Upload
from rootfs_tool.tftpd.names import Rule, Wanted
from rootfs_tool.tftpd.uploads import PREFIX, Uploads

# A FIFO or a device opens at once and is then refused, and no terminal becomes ours.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

_REFUSALS = {
    errno.ENOENT: (Code.NOT_FOUND, "file not found"),
    errno.ENOTDIR: (Code.NOT_FOUND, "file not found"),
    errno.ENAMETOOLONG: (Code.NOT_FOUND, "no file has a name that long"),
    errno.EACCES: (Code.ACCESS_VIOLATION, "the server may not read it"),
    errno.EPERM: (Code.ACCESS_VIOLATION, "the server may not read it"),
    errno.EXDEV: (Code.ACCESS_VIOLATION, "a symbolic link leads out of the directory"),
    errno.ELOOP: (Code.ACCESS_VIOLATION, "too many symbolic links"),
    errno.ENXIO: (Code.ACCESS_VIOLATION, "not a regular file"),
}


class Directory(Files):
    """Serves ``root``, and whatever is mounted in it, by names that ``rules`` rewrite in order.

    Symbolic links are followed inside; an absolute one counts as one that leads out. The directory
    stays open: it may be in a place that this process can't reach by name any more.
    """

    def __init__(
        self, root: Path, *, rules: Sequence[Rule] = (), uploads: Uploads | None = None
    ) -> None:
        """Raises ConfigError if ``root`` is no directory."""
        try:
            self.fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(
                f"no directory to serve: {root}: {error.strerror}",
                hint="rootfs-tool build makes out/, or name one: rootfs-tool tftp-serve DIR",
            ) from None
        self._open = beneath.opener(self.fd)
        self._rules = rules
        self._uploads = uploads

    def close(self) -> None:
        os.close(self.fd)

    def open(self, name: bytes, peer: str) -> Opened:
        wanted = names.wanted(name, self._rules)
        note = f"Raspberry Pi {wanted.of_board.decode()}" if wanted.of_board else ""
        paths = wanted.paths if self._has_board(wanted) else (wanted.without,)
        for path in paths[:-1]:
            try:
                return self._opened(path, note)
            except Refused as refused:
                if refused.code is not Code.NOT_FOUND:
                    raise
        return self._opened(paths[-1], note)

    def create(self, name: bytes, peer: str, size: int | None) -> Upload:
        if self._uploads is None:
            raise Refused(Code.ACCESS_VIOLATION, "this server takes no files")
        # A file that isn't there yet has no better meaning than the one with slashes.
        return self._uploads.create(names.wanted(name, self._rules).paths[-1], size)

    def _has_board(self, wanted: Wanted) -> bool:
        """Whether a Raspberry Pi, if it is one, has a directory of its own."""
        if not wanted.of_board:
            return True
        try:
            os.close(self._open(self.fd, wanted.of_board, os.O_PATH))
        except FileNotFoundError:
            return False
        except OSError:
            pass
        return True

    def _opened(self, path: bytes, note: str) -> Opened:
        if path.rpartition(b"/")[2].startswith(PREFIX):
            raise _refused(errno.ENOENT)
        try:
            fd = self._open(self.fd, path, _FLAGS)
        except OSError as error:
            raise _refused(error.errno or 0) from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise _refused(errno.ENXIO)
        name = printable(path.decode(errors="surrogateescape"))
        return Opened(fd=fd, size=found.st_size, name=name, note=note)


def _refused(number: int) -> Refused:
    code, text = _REFUSALS.get(number, (Code.UNDEFINED, f"the server: {os.strerror(number)}"))
    return Refused(code, text)
