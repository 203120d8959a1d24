"""What a board says, kept line by line with its time, until something ends it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import BinaryIO, Protocol

from rootfs_tool.console.base import Console
from rootfs_tool.console.transcript import Clock, Escape, Stamps, TimeFormat
from rootfs_tool.errors import ConsoleTimeout

_STEP = 1.0  # seconds between two looks at the time
_LONGEST = 1 << 20  # bytes of a line without an end


class Keeper(Protocol):
    def add(self, data: bytes) -> None:
        """Keep what the board said, all of it before this returns. Raises OSError."""
        ...

    def finish(self) -> None:
        """Keep what there is of a last line."""
        ...


class TextLines:
    """Lines with their time at the head, control characters and broken UTF-8 escaped."""

    def __init__(self, file: BinaryIO, form: TimeFormat) -> None:
        self._file = file
        self._escape = Escape()
        self._stamps = Stamps(Clock(form).stamp)

    def add(self, data: bytes) -> None:
        self._file.write(self._stamps.feed(self._escape.feed(data)))
        self._file.flush()

    def finish(self) -> None:
        if self._stamps.line_begun:
            self._file.write(b"\n")
            self._file.flush()


class JsonLines:
    """A line of JSON each: ``time``, when it began, in seconds since the epoch, and ``text``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._escape = Escape()
        self._line = b""
        self._begun = 0.0

    def add(self, data: bytes) -> None:
        *ended, rest = self._escape.feed(data).split(b"\n")
        for line in ended:
            self._begin()
            self._end(self._line + line)
            self._line = b""
        if rest:
            self._begin()
            self._line += rest

    def finish(self) -> None:
        if self._line:
            self._end(self._line)

    def _begin(self) -> None:
        if not self._line:
            self._begun = time.time()

    def _end(self, line: bytes) -> None:
        row = {"time": round(self._begun, 6), "text": line.decode()}
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()


class Awaited:
    """Looks for a pattern in every line, also in one that has not ended, such as ``login: ``."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._escape = Escape()
        self._line = b""

    def found(self, data: bytes) -> bool:
        """Whether it is in a line that ``data`` goes on with, begins or ends."""
        *ended, self._line = (self._line + self._escape.feed(data)).split(b"\n")
        self._line = self._line[-_LONGEST:]
        return any(
            self._pattern.search(line.decode(errors="replace")) for line in (*ended, self._line)
        )


def capture(
    console: Console,
    keeper: Keeper,
    *,
    watch: Callable[[bytes], None] = lambda data: None,
    seconds: float | None = None,
    until: re.Pattern[str] | None = None,
) -> None:
    """Keep what comes for ``seconds`` (for ever), or until ``until`` is in a line.

    ``watch`` sees all of it too. Raises ConsoleTimeout when ``until`` did not come in time, and
    ConsoleClosed when the console ends.
    """
    awaited = Awaited(until) if until is not None else None
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while deadline is None or time.monotonic() < deadline:
            left = _STEP if deadline is None else max(0.0, deadline - time.monotonic())
            data = console.read(min(_STEP, left))
            if not data:
                continue
            keeper.add(data)
            watch(data)
            if awaited is not None and awaited.found(data):
                return
    finally:
        keeper.finish()
    if until is not None:
        raise ConsoleTimeout(f"{until.pattern!r} did not come within {seconds:g} s")
