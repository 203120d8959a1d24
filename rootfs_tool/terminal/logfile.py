"""A file that gets what the board says while a person works at its console."""

from __future__ import annotations

import re
from pathlib import Path

from rootfs_tool.console.transcript import Clock, Stamps, TimeFormat
from rootfs_tool.events import note

# ECMA-48: control sequences, strings up to their end, and the shorter escapes
_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ`-~])"
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST = 256  # bytes of an escape sequence that may still be going on


class Strip:
    """Takes escape sequences and control characters out of a stream, but tab and newline."""

    def __init__(self) -> None:
        self._held_back = b""

    def feed(self, data: bytes) -> bytes:
        data = _ESCAPE.sub(b"", self._held_back + data)
        begun = data.find(b"\x1b", max(0, len(data) - _LONGEST))
        self._held_back = data[begun:] if begun >= 0 else b""
        return _CONTROL.sub(b"", data[:begun] if begun >= 0 else data)


class LogFile:
    """What is added is in the file at once, so that it survives this process."""

    def __init__(self, path: Path, *, strip: bool, stamp: TimeFormat | None) -> None:
        """Go on at the end of ``path``. Raises OSError."""
        self.path = path
        self.on = True
        self._file = path.open("ab", buffering=0)
        self._strip = Strip() if strip else None
        self._stamps = Stamps(Clock(stamp).stamp) if stamp else None

    def add(self, data: bytes) -> None:
        """A file that takes no more, such as on a full disk, is noted and ends the log only."""
        if not self.on:
            return
        if self._strip is not None:
            data = self._strip.feed(data)
        if self._stamps is not None:
            data = self._stamps.feed(data)
        try:
            self._file.write(data)
        except OSError as error:
            self.on = False
            note(f"{self.path}: {error.strerror}: this log has ended")

    def close(self) -> None:
        self._file.close()
