"""Reading and writing a terminal or socket by its file descriptor."""

from __future__ import annotations

import os
import select
import time

from rootfs_tool.errors import ConsoleClosed, ConsoleTimeout

CHUNK = 65536  # bytes that one read asks for
STUCK = 5.0  # seconds in which a healthy line takes at least one byte


def read(descriptor: int, timeout: float, name: str) -> bytes:
    """What is there within ``timeout`` seconds. Raises ConsoleClosed at the end of the line."""
    deadline = time.monotonic() + timeout
    while True:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            return b""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            continue
        except OSError as error:  # EIO is how a terminal says that its other end has gone
            raise _closed(name, str(error.strerror)) from None
        if not data:
            raise _closed(name, "end of file")
        return data


def write(descriptor: int, data: bytes, name: str) -> None:
    """Send all of ``data``. Raises ConsoleTimeout when the line takes nothing for STUCK seconds."""
    rest = memoryview(data)
    while rest:
        if not select.select([], [descriptor], [], STUCK)[1]:
            raise ConsoleTimeout(
                f"{name} took nothing for {STUCK:g} s, {len(rest)} bytes are left",
                hint="is flow control on at the other end, or the cable out?",
            )
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            continue
        except OSError as error:
            raise _closed(name, str(error.strerror)) from None


def _closed(name: str, reason: str) -> ConsoleClosed:
    return ConsoleClosed(
        f"{name} has closed ({reason})", hint="did the board's USB adapter, or QEMU, go away?"
    )
