"""A two-way byte stream to a board, whatever carries it."""

from __future__ import annotations

from typing import Literal, Protocol

from rootfs_tool.model import Model


class Line(Model):
    """The board's end of the console: a fact of the board profile."""

    device: str = "ttyAMA0"
    """The serial device as the board's kernel names it, without /dev/."""

    baudrate: int = 115200
    """Bits per second."""

    login: Literal["shell", "getty"] = "shell"
    """What the console shows: a root shell at once, or a login prompt."""

    user: str = "root"
    """Who logs in where there is a login prompt."""


class Console(Protocol):
    def read(self, timeout: float) -> bytes:
        """What has arrived, as soon as anything has; empty after ``timeout`` seconds of silence.

        Raises ConsoleClosed when nothing can come any more.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises ConsoleClosed, or ConsoleTimeout when the line is stuck."""
        ...

    def close(self) -> None: ...
