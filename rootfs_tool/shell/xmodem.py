"""XMODEM-1K with CRC-16, the sender's side (C. Forsberg, XMODEM/YMODEM Protocol Reference, 1988).

The PyPI package `xmodem` does it too, but over two callbacks of its own that know neither our
deadlines nor the errors of a console, and takes a board's refusal for a line that is bad.
"""

from __future__ import annotations

import time
from binascii import crc_hqx
from collections.abc import Callable

from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConsoleError, ConsoleTimeout

_SOH, _STX, _EOT, _ACK, _NAK, _CAN, _CRC = (
    b"\x01",
    b"\x02",
    b"\x04",
    b"\x06",
    b"\x15",
    b"\x18",
    b"C",
)
_PAD = b"\x1a"
_TRIES = 20  # times that a block is sent, and the end of it all
_PATIENCE = 3.0  # seconds for an answer to a block, which takes 1 s at 9600 baud
_START = 15.0  # seconds until the board asks for the first block


def send(console: Console, data: bytes, progress: Callable[[int], None]) -> bytes:
    """Send ``data``; what the other end gets is padded to a multiple of 128 bytes.

    ``progress`` gets the bytes that are over. Returns what the board said after the end. Raises
    ConsoleTimeout when the board asks for nothing or stops answering, and ConsoleError when it
    breaks off.
    """
    if _answer(console, _START, _CRC) is None:
        raise ConsoleTimeout(
            f"the board did not ask for the file within {_START:g} s",
            hint="was `loadx` started? It asks by sending the letter C",
        )
    offset, number = 0, 1
    while offset < len(data):
        size = 1024 if len(data) - offset > 7 * 128 else 128
        piece = data[offset : offset + size]
        _deliver(console, _block(piece.ljust(size, _PAD), number))
        offset, number = offset + size, number + 1
        progress(min(offset, len(data)))
    return _deliver(console, _EOT)


def _block(piece: bytes, number: int) -> bytes:
    start = _STX if len(piece) == 1024 else _SOH
    count = bytes((number & 0xFF, ~number & 0xFF))
    return start + count + piece + crc_hqx(piece, 0).to_bytes(2, "big")


def _deliver(console: Console, block: bytes) -> bytes:
    """Send it until it has arrived; returns what came after the word of that."""
    for _ in range(_TRIES):
        console.read(0)  # a late answer to the block before is none to this
        console.write(block)
        answer = _answer(console, _PATIENCE, _ACK + _NAK + _CAN) or _NAK
        if answer[:1] == _ACK:
            return answer[1:]
        if answer[:1] == _CAN:
            raise ConsoleError("the board broke off the transfer")
    raise ConsoleTimeout(
        f"a block of the file did not arrive in {_TRIES} attempts",
        hint="the line loses or changes bytes: a lower baudrate, a shorter or better cable?",
    )


def _answer(console: Console, timeout: float, wanted: bytes) -> bytes | None:
    """The first byte that comes of those ``wanted``, and what is behind it; None without one."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        came = console.read(left)
        for at, byte in enumerate(came):
            if byte in wanted:
                return came[at:]
    return None
