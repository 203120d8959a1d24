"""Opens what is below a directory and nothing else, whatever its symbolic links say.

Linux does that by itself since 5.6: openat2(2) with RESOLVE_BENEATH. Where the kernel is older, or
a container's seccomp filter forbids it, the path is walked here one step at a time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
from collections.abc import Callable

Open = Callable[[int, bytes, int], int]

_OPENAT2 = 437  # since 5.x a new call has one number everywhere, except on these:
_OTHER_NUMBERS = ("alpha", "mips")
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RACES = 64  # times that the kernel may find the tree renamed under its feet
_LINKS = 40  # symbolic links in one path, as in path_resolution(7)

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def opener(root: int) -> Open:
    """The better of the two ways that works on this host; ``root`` is an open directory."""
    if platform.machine().startswith(_OTHER_NUMBERS):
        return by_walk
    try:
        os.close(by_kernel(root, b".", os.O_PATH))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return by_walk
        raise
    return by_kernel


def by_kernel(root: int, path: bytes, flags: int) -> int:
    """Open ``path``, which has no NUL, below the directory ``root``.

    Raises OSError; its errno is EXDEV when the path, or a link in it, is absolute or leads out.
    """
    how = _How(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_RACES):
        fd: int = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd >= 0:
            return fd
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise _error(ctypes.get_errno())


def by_walk(root: int, path: bytes, flags: int) -> int:
    """As by_kernel. Every step starts from a directory that is open and was reached from above."""
    way = [root]
    todo = _steps(path)
    links = 0
    try:
        while todo:
            step = todo.pop()
            if step == b"..":
                if len(way) == 1:
                    raise _error(errno.EXDEV)
                os.close(way.pop())
                continue
            found = os.open(step, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way[-1])
            way.append(found)
            mode = os.fstat(found).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                if links > _LINKS:
                    raise _error(errno.ELOOP)
                todo += _steps(os.readlink(b"", dir_fd=found))
            elif todo:
                continue
            else:
                # By its name once more, for O_PATH can't be read. If it has become a link since,
                # O_NOFOLLOW makes that an error.
                return os.open(step, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way[-2])
            os.close(way.pop())
        return os.open(b".", flags | os.O_CLOEXEC, dir_fd=way[-1])
    finally:
        for fd in way[1:]:
            os.close(fd)


def _steps(path: bytes) -> list[bytes]:
    """What is still to be walked, the next one last."""
    if path.startswith(b"/"):
        raise _error(errno.EXDEV)
    return [step for step in reversed(path.split(b"/")) if step not in (b"", b".")]


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
