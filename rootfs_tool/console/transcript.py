"""Everything that came from a board, line by line with its time, in a file."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rootfs_tool.console.base import Console
from rootfs_tool.console.tail import Tail

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Transcript:
    """A console that keeps a record. What is sent is not noted: it may be a password."""

    def __init__(self, console: Console, file: TextIO) -> None:
        self._console = console
        self._file = file
        self._start = time.monotonic()
        self._tail = Tail()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._line_begun = False
        self._held_back = ""  # carriage returns: before a newline they are not worth a mark

    def read(self, timeout: float) -> bytes:
        data = self._console.read(timeout)
        if data:
            self._tail.add(data)
            self._note(self._decoder.decode(data))
        return data

    def write(self, data: bytes) -> None:
        self._console.write(data)

    def send_break(self) -> None:
        self._console.send_break()

    def set_baudrate(self, baudrate: int) -> bool:
        return self._console.set_baudrate(baudrate)

    def close(self) -> None:
        self._console.close()

    @property
    def tail(self) -> str:
        """The last twenty lines received."""
        return self._tail.text()

    def finish(self) -> None:
        """End the last line, if the board did not."""
        if self._line_begun:
            self._file.write("\n")
            self._line_begun = False

    def _note(self, text: str) -> None:
        text = self._held_back + text
        self._held_back = text[len(text.rstrip("\r")) :]
        text = text.rstrip("\r")
        stamp = f"[{time.monotonic() - self._start:12.6f}] "
        for piece in re.findall(r"[^\n]*\n|[^\n]+", re.sub("\r+\n", "\n", text)):
            self._file.write("" if self._line_begun else stamp)
            self._file.write(_CONTROL.sub(_escaped, piece))
            self._line_begun = not piece.endswith("\n")
        self._file.flush()


def _escaped(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"


@contextmanager
def recorded(console: Console, path: Path) -> Iterator[Transcript]:
    """``console``, with every line it receives in the file ``path``, seconds since now first."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        transcript = Transcript(console, file)
        try:
            yield transcript
        finally:
            transcript.finish()
