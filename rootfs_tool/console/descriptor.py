"""A terminal or socket by its file descriptor, and the console that is no more than one."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from rootfs_tool.errors import ConsoleClosed, ConsoleError, ConsoleTimeout

CHUNK = 65536  # bytes that one read asks for
STUCK = 5.0  # seconds in which a healthy line takes at least one byte


class DescriptorConsole:
    """Read as soon as a byte is there, at any speed."""

    def __init__(self, descriptor: int, name: str, close: Callable[[], object]) -> None:
        """``descriptor`` does not block, and ``close`` closes it."""
        self.name = name
        self._descriptor = descriptor
        self._close = close

    def read(self, timeout: float) -> bytes:
        self._check_open()
        return read(self._descriptor, timeout, self.name)

    def write(self, data: bytes) -> None:
        self._check_open()
        write(self._descriptor, data, self.name)

    def send_break(self) -> None:
        raise ConsoleError(
            f"{self.name} can't carry a break, only bytes",
            hint="a serial device does, and a serial server at rfc2217://HOST:PORT",
        )

    def set_baudrate(self, baudrate: int) -> bool:
        return False

    def close(self) -> None:
        if self._descriptor >= 0:
            self._descriptor = -1
            self._close()

    def _check_open(self) -> None:
        if self._descriptor < 0:
            raise ConsoleClosed(f"{self.name} is closed")


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
            raise closed(name, str(error.strerror)) from None
        if not data:
            raise closed(name, "end of file")
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
            raise closed(name, str(error.strerror)) from None


def closed(name: str, reason: str) -> ConsoleClosed:
    return ConsoleClosed(
        f"{name} has closed ({reason})", hint="did the board's USB adapter, or QEMU, go away?"
    )
