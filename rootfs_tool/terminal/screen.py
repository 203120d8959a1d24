"""What a person sees: the board's bytes as they are, and lines of our own between them."""

from __future__ import annotations

import os
import re

from rootfs_tool.console.transcript import Clock, Stamps, TimeFormat
from rootfs_tool.printable import printable

_CLEAR = b"\x1b[H\x1b[2J"


class Screen:
    def __init__(self, board: int, notes: int, *, raw: bool) -> None:
        """Two descriptors, of what the board says and of what we do.

        ``raw`` is a terminal in whose lines the kernel puts no carriage return any more.
        """
        self._board = board
        self._notes = notes
        self._newline = b"\r\n" if raw else b"\n"
        self._line_begun = False
        self._stamps: Stamps | None = None
        self.hexadecimal = False
        self.new_lines_return = False  # a lone newline of the board begins at the left
        self._last = b""

    def show(self, data: bytes) -> None:
        """What the board said, or what was typed where that is echoed here."""
        if self.hexadecimal:
            data = re.sub(b"(?s).", lambda byte: b"%02x " % byte[0][0], data)
            data = data.replace(b"0a ", b"0a" + self._newline)
        elif self.new_lines_return:
            data, self._last = self._returned(data), data[-1:]
        if self._stamps is not None:
            data = self._stamps.feed(data)
        _write(self._board, data)
        self._line_begun = not data.endswith(b"\n")

    def say(self, text: str) -> None:
        """Lines of our own, each on a line for itself."""
        begin = self._newline if self._line_begun else b""
        lines = [printable(line).encode() + self._newline for line in text.split("\n")]
        _write(self._notes, begin + b"".join(lines))
        self._line_begun = False

    def clear(self) -> None:
        if os.isatty(self._board):
            _write(self._board, _CLEAR)

    def stamp(self, form: TimeFormat | None) -> None:
        """Begin each further line with its time, or with nothing."""
        self._stamps = Stamps(Clock(form).stamp, line_begun=self._line_begun) if form else None

    def _returned(self, data: bytes) -> bytes:
        before = self._last if self._last == b"\r" else b""
        return re.sub(b"(?<!\r)\n", b"\r\n", before + data)[len(before) :]


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
