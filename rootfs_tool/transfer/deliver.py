"""Blocks to receive.sh: two on their way at a time, as large as the line lets through whole."""

from __future__ import annotations

from rootfs_tool.errors import ConsoleError, ConsoleTimeout
from rootfs_tool.events import progress
from rootfs_tool.transfer import board
from rootfs_tool.transfer.board import Code
from rootfs_tool.transfer.marks import Mark, Marks, Terminal, leaving
from rootfs_tool.transfer.size import BlockSize

_HEAD = 40  # characters before a block
_FIRST = 2048  # bytes of a block
# A terminal holds 64 KiB that nobody has read yet (TTYB_DEFAULT_MEM_LIMIT, tty_buffer.c), and for
# as long as a process takes to start nobody does.
_LARGEST = 16384
_SILENCE = 20.0  # seconds without a word from a script that speaks every second


class Hopeless(ConsoleError):
    """No block comes through whole; ``at`` is how far it came."""

    def __init__(self, at: int, tail: str = "") -> None:
        super().__init__(
            "no block of the file came through the line undamaged",
            tail=tail,
            hint="a lower baudrate, a shorter or better cable?",
        )
        self.at = at


def deliver(line: Terminal, marks: Marks, data: bytes, at: int, code: Code, tool: str) -> int:
    """Send ``data`` from ``at`` on. Returns the bytes written to the line.

    Raises Hopeless, and ConsoleTimeout when the board says nothing any more. Whatever ends it
    early, the script on the board ends too.
    """
    sender = _Sender(line, data, at, code, tool)
    with leaving(line, marks, _HEAD):
        while sender.at < len(data):
            if (mark := marks.next(_SILENCE)) is None:
                raise ConsoleTimeout(
                    "the board takes no more of the file",
                    hint="it hangs, or something else has taken its console",
                )
            if mark.letter == "F":
                break
            sender.hear(mark)
            progress(sender.at, len(data))
    return sender.written


class _Sender:
    def __init__(self, line: Terminal, data: bytes, at: int, code: Code, tool: str) -> None:
        self.at = at
        self.written = 0
        self._line = line
        self._data = data
        self._code = code
        self._tool = tool
        self._sent = at
        self._size = BlockSize(_FIRST, _LARGEST)

    def hear(self, mark: Mark) -> None:
        at = int(mark.fields[0])
        match mark.letter:
            case "A":
                self.at = at
                self._size.good()
                self._fill()
            case "N":
                if not self._size.bad():
                    raise Hopeless(self.at)
            case _:
                self.at = self._sent = at
                self._size.begin()
                self._fill()

    def _fill(self) -> None:
        """Have two blocks on their way."""
        size = self._size.bytes
        while self._sent < len(self._data) and self._sent - self.at < 2 * size:
            piece = self._data[self._sent : self._sent + size]
            coded = self._code.encode(piece)
            digest = board.short(self._tool, piece)
            head = f"{self._sent} {len(coded)} {len(piece)} {digest}"
            self._line.write(f"{head:<{_HEAD - 1}}\n".encode() + coded)
            self.written += _HEAD + len(coded)
            self._sent += len(piece)
