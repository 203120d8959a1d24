"""Everything that came from a board, line by line with its time, in a file."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from rootfs_tool.console.base import Console
from rootfs_tool.console.tail import Tail

TimeFormat = Literal["24h", "start", "delta", "iso8601"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 and C1, but tab and newline


class Clock:
    """What stands at the head of a line; it never goes back, whatever is done to the host's clock.

    ``24h`` is the time of day and ``iso8601`` the date too, both of this host's time zone;
    ``start`` counts the seconds since the clock was made, ``delta`` those since the last line.
    """

    def __init__(self, form: TimeFormat) -> None:
        self._form = form
        self._epoch = time.time()
        self._start = self._last = _now()

    def stamp(self) -> str:
        last, self._last = self._last, _now()
        since = self._last - self._start
        match self._form:
            case "start":
                return f"[{since:12.6f}] "
            case "delta":
                return f"[{self._last - last:+12.6f}] "
            case "24h":
                return f"[{_written('%H:%M:%S', self._epoch + since)}] "
            case "iso8601":
                wall = self._epoch + since
                zone = time.strftime("%z", time.localtime(wall))
                return f"[{_written('%Y-%m-%dT%H:%M:%S', wall)}{zone}] "


def _now() -> float:
    """Seconds that go on while the host is suspended (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _written(form: str, wall: float) -> str:
    milliseconds = int(wall * 1000)
    whole = time.strftime(form, time.localtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}"


class Stamps:
    """Puts a stamp at the head of every line of a stream, however it is cut into pieces."""

    def __init__(self, stamp: Callable[[], str], *, line_begun: bool = False) -> None:
        self._stamp = stamp
        self.line_begun = line_begun

    def feed(self, data: bytes) -> bytes:
        out = []
        for piece in re.findall(rb"[^\n]*\n|[^\n]+", data):
            out.append(b"" if self.line_begun else self._stamp().encode())
            out.append(piece)
            self.line_begun = not piece.endswith(b"\n")
        return b"".join(out)


class Escape:
    """Makes UTF-8 text with plain newlines of a stream, and shows what would steer a terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held_back = ""  # carriage returns: before a newline they are not worth a mark

    def feed(self, data: bytes) -> bytes:
        text = self._held_back + self._decoder.decode(data)
        self._held_back = text[len(text.rstrip("\r")) :]
        text = re.sub("\r+\n", "\n", text.rstrip("\r"))
        return _CONTROL.sub(_escaped, text).encode()


def _escaped(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"


class Transcript:
    """A console that keeps a record. What is sent is not noted: it may be a password."""

    def __init__(self, console: Console, file: BinaryIO) -> None:
        """``file`` is unbuffered: what was received is in it, even if this process is killed."""
        self._console = console
        self._file = file
        self._tail = Tail()
        self._escape = Escape()
        self._stamps = Stamps(Clock("start").stamp)

    def read(self, timeout: float) -> bytes:
        data = self._console.read(timeout)
        if data:
            self._tail.add(data)
            self._file.write(self._stamps.feed(self._escape.feed(data)))
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
        if self._stamps.line_begun:
            self._file.write(b"\n")
            self._stamps.line_begun = False


@contextmanager
def recorded(console: Console, path: Path) -> Iterator[Transcript]:
    """``console``, with every line it receives in the file ``path``, seconds since now first."""
    with path.open("wb", buffering=0) as file:
        transcript = Transcript(console, file)
        try:
            yield transcript
        finally:
            transcript.finish()
