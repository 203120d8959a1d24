"""A two-way byte stream to a board, whatever carries it."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from rootfs_tool.model import Field, Matching, Model

BREAK = 0.25  # seconds that a break lasts: a character of 50 baud takes 0.2

DeviceName = Annotated[
    str, Matching("[A-Za-z][A-Za-z0-9]{0,31}", "a device's name without /dev/, such as ttyAMA0")
]
UserName = Annotated[
    str, Matching("[a-z_][a-z0-9_-]{0,31}", "a user's name: small letters, digits, - and _")
]


class Line(Model):
    """The board's end of the console: a fact of the board profile."""

    device: DeviceName = "ttyAMA0"
    """The serial device as the board's kernel names it, without /dev/."""

    baudrate: int = Field(default=115200, ge=50, le=4_000_000)
    """Bits per second."""

    flow_control: Literal["none", "xonxoff", "rtscts"] = "none"
    """How one end stops the other: what the board's UART is set to and the cable has wires for."""

    login: Literal["shell", "getty"] = "shell"
    """What the console shows: a root shell at once, or a login prompt."""

    user: UserName = "root"
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

    def send_break(self) -> None:
        """Hold the line low longer than any character: a break, which Linux takes for SysRq.

        Raises ConsoleError where what carries the stream knows no such thing.
        """
        ...

    def set_baudrate(self, baudrate: int) -> bool:
        """Go on at this many bits per second; False where the stream has no rate to change."""
        ...

    def close(self) -> None: ...
