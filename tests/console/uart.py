"""A serial line bit by bit: what a UART at one rate makes of what another sends at its own."""

from __future__ import annotations

import os
import select
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from rootfs_tool.console.base import Console

SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit()
}


def received(data: bytes, sent_at: int, read_at: int) -> bytes:
    """``data``, sent back to back as 8N1 at ``sent_at`` baud, to a UART at ``read_at`` baud.

    A start bit is the first low after a high; every bit is read in its middle; after a stop bit
    that is low (a framing error, a break) the line has to be high before the next start bit.
    """
    if sent_at == read_at:
        return data
    bits = "".join("0" + f"{byte:08b}"[::-1] + "1" for byte in data)

    def level(time: float) -> str:
        place = int(time * sent_at)
        return bits[place] if place < len(bits) else "1"

    bit, time, seen = 1 / read_at, 0.0, bytearray()
    while (start := bits.find("0", int(time * sent_at + 1e-9))) >= 0:
        time = max(time, start / sent_at)
        middle = time + 1.5 * bit
        seen.append(int("".join(level(middle + n * bit) for n in reversed(range(8))), 2))
        time += 9.5 * bit
        if level(time) == "0":
            high = bits.find("1", int(time * sent_at + 1e-9))
            time = high / sent_at
    return bytes(seen)


class Uart:
    """A board whose serial port is at a fixed rate, and the device of this host on that line."""

    def __init__(self, board: Console, rate: int) -> None:
        self.heard = b""
        """What came from the host, as the board's UART read it."""

        self._board = board
        self._rate = rate
        self._host, self._ours = os.openpty()
        self.device = os.ttyname(self._ours)
        tty.setraw(self._ours)
        self._over = False
        self._threads = [threading.Thread(target=work) for work in (self._to, self._from)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._over = True
        for thread in self._threads:
            thread.join()
        os.close(self._host)
        os.close(self._ours)

    @property
    def host_rate(self) -> int:
        return SPEEDS[termios.tcgetattr(self._host)[5]]

    def _to(self) -> None:
        while not self._over:
            if select.select([self._host], [], [], 0.05)[0]:
                data = received(os.read(self._host, 4096), self.host_rate, self._rate)
                self.heard += data
                self._board.write(data)

    def _from(self) -> None:
        while not self._over:
            data = self._board.read(0.05)
            os.write(self._host, received(data, self._rate, self.host_rate))


@contextmanager
def uart(board: Console, rate: int) -> Iterator[Uart]:
    line = Uart(board, rate)
    try:
        yield line
    finally:
        line.close()


def heard(descriptor: int, length: int) -> bytes:
    """``length`` bytes at the board's end of a terminal, which they reach in pieces."""
    said = b""
    while len(said) < length:
        assert select.select([descriptor], [], [], 10)[0], said
        said += os.read(descriptor, 4096)
    return said
