"""Pieces from send.sh: two asked for at a time, as large as the line lets through whole."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from rootfs_tool.events import progress
from rootfs_tool.transfer import board
from rootfs_tool.transfer.board import Code, Tools
from rootfs_tool.transfer.deliver import Hopeless
from rootfs_tool.transfer.marks import Mark, Marks, Terminal, leave, leaving
from rootfs_tool.transfer.size import BlockSize

_REQUEST = 20  # characters
_FIRST = 2048  # bytes of a piece
_LARGEST = 65536  # twice what gzip looks back
_PATIENCE = 2.0  # seconds without the answer to a request, while we do not know the board
_IMPATIENCE = 0.3  # seconds, on a quick one; and without the rest of a piece that has begun


def collect(
    line: Terminal,
    marks: Marks,
    size: int,
    at: int,
    code: Code,
    tools: Tools,
    sink: Callable[[bytes], object],
) -> int:
    """Give the bytes from ``at`` to ``size`` to ``sink``. Returns those that passed the line.

    Raises Hopeless when one piece never comes whole. However it ends, the script ends too.
    """
    asking = _Asking(line, marks, size, at, code, tools)
    with leaving(line, marks, _REQUEST):
        while asking.at < size:
            if piece := asking.next():
                sink(piece)
                progress(asking.at, size)
    leave(line, marks, _REQUEST)
    return asking.passed


class _Asking:
    """What is asked for and has not come, and what came before its turn, by offset in the file."""

    def __init__(
        self, line: Terminal, marks: Marks, size: int, at: int, code: Code, tools: Tools
    ) -> None:
        self.at = at
        self.passed = 0
        self._line = line
        self._marks = marks
        self._total = size
        self._code = code
        self._tools = tools
        self._size = BlockSize(_FIRST, _LARGEST)
        self._waiting: dict[int, int] = {}
        self._early: dict[int, bytes] = {}
        self._patience = _PATIENCE

    def next(self) -> bytes:
        """Some bytes from ``at`` on, or nothing yet."""
        self._ask()
        mark = self._marks.next(self._patience)
        if mark is None:
            self._patience = min(_PATIENCE, 2 * self._patience)
        if mark is None or mark.letter != "B":
            self._waiting.clear()
            self._bad()
            return b""
        size, number = map(int, mark.fields[:2])
        offset, body = size * number, self._body(mark)
        if self._waiting.get(offset) != size:
            return b""
        while (first := next(iter(self._waiting))) != offset:  # they are answered in turn
            del self._waiting[first]
            self._bad()
        del self._waiting[offset]
        if body is None:
            self._bad()
            return b""
        took = self._size.good()
        self._patience = min(_PATIENCE, max(_IMPATIENCE, 4 * took))
        self._early[offset] = body[: self._total - offset]
        return self._in_turn()

    def _in_turn(self) -> bytes:
        came = bytearray()
        while piece := self._early.pop(self.at, b""):
            self.at += len(piece)
            came += piece
        return bytes(came)

    def _ask(self) -> None:
        """Have two requests on their way."""
        while len(self._waiting) < 2 and (at := self._first_missing()) < self._total:
            size = self._size.bytes
            while at % size:
                size //= 2
            self._line.write(f"{size} {at // size}".ljust(_REQUEST - 1).encode() + b"\n")
            self._waiting[at] = size

    def _first_missing(self) -> int:
        """The first byte that is neither here nor asked for."""
        at = self.at
        while held := len(self._early.get(at, b"")) or self._waiting.get(at, 0):
            at += held
        return at

    def _body(self, mark: Mark) -> bytes | None:
        """What follows the answer, decoded; None when that is not what the board sent."""
        length, digest = int(mark.fields[2]), mark.fields[3]
        coded = self._marks.take(length, _IMPATIENCE)
        self.passed += len(coded)
        if len(coded) < length or not digest.startswith(board.short(self._tools.block, coded)):
            self._marks.put_back(coded)  # the next answer may be in it, when bytes of this are lost
            return None
        packed = self._code.decoded(coded)
        return gzip.decompress(packed) if self._tools.packs else packed

    def _bad(self) -> None:
        if not self._size.bad():
            raise Hopeless(self.at)
