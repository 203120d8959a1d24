"""Boards that are real shells of this host on a terminal, and lines that are not clean."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.shell import Shell

LINE = Line()


class Relay:
    """A console with a line between it and us that changes what passes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def read(self, timeout: float) -> bytes:
        return self.console.read(timeout)

    def write(self, data: bytes) -> None:
        self.console.write(data)

    def send_break(self) -> None:
        self.console.send_break()

    def set_baudrate(self, baudrate: int) -> bool:
        return self.console.set_baudrate(baudrate)

    def close(self) -> None:
        self.console.close()


class OneByteAtATime(Relay):
    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._waiting = b""

    def read(self, timeout: float) -> bytes:
        self._waiting = self._waiting or super().read(timeout)
        first, self._waiting = self._waiting[:1], self._waiting[1:]
        return first


class Halting(Relay):
    """What comes stops for a while, now and then, in the middle of anything."""

    WHILE = 0.15  # seconds

    def __init__(self, console: Console, *, seed: int) -> None:
        super().__init__(console)
        self._random = random.Random(seed)
        self._waiting = b""
        self._until = 0.0

    def read(self, timeout: float) -> bytes:
        if not self._waiting:
            self._waiting = super().read(timeout)
        elif self._random.random() < 0.1:
            self._until = time.monotonic() + self.WHILE
        if (pause := self._until - time.monotonic()) > 0:
            time.sleep(min(pause, timeout))
            if pause > timeout:
                return b""
        length = self._random.randrange(1, 60)
        piece, self._waiting = self._waiting[:length], self._waiting[length:]
        return piece


class Mislabels(Relay):
    """One bit of the letter that says what an answer is comes over wrong, every other time."""

    def __init__(self, console: Console, right: str, wrong: str) -> None:
        super().__init__(console)
        self._right, self._wrong = ord(right), ord(wrong)
        self._before = 0
        self.seen = 0

    def read(self, timeout: float) -> bytes:
        said = bytearray(super().read(timeout))
        for at, byte in enumerate(said):
            if self._before == 0x1E and byte == self._right:
                self.seen += 1
                said[at] = self._wrong if self.seen % 2 else byte
            self._before = byte
        return bytes(said)


class KernelTalks(Relay):
    """Kernel messages at random places in what the board sends, every ``distance`` bytes or so."""

    def __init__(self, console: Console, *, seed: int, distance: int) -> None:
        super().__init__(console)
        self._random = random.Random(seed)
        self._distance = distance
        self.messages = 0

    def read(self, timeout: float) -> bytes:
        said = bytearray()
        for byte in super().read(timeout):
            said.append(byte)
            if self._random.random() < 1 / self._distance:
                self.messages += 1
                said += b"[%12.6f] usb 1-1: message %d\r\n" % (self.messages / 7, self.messages)
        return bytes(said)


class Lossy(Relay):
    """Loses every ``one_in``th byte or so on the way to the board, or from it."""

    def __init__(self, console: Console, *, seed: int, to_board: int = 0, from_board: int = 0):
        super().__init__(console)
        self._random = random.Random(seed)
        self._to_board = to_board
        self._from_board = from_board
        self.lost = 0

    def _lose(self, data: bytes, one_in: int) -> bytes:
        kept = bytes(byte for byte in data if not one_in or self._random.random() >= 1 / one_in)
        self.lost += len(data) - len(kept)
        return kept

    def read(self, timeout: float) -> bytes:
        return self._lose(super().read(timeout), self._from_board)

    def write(self, data: bytes) -> None:
        super().write(self._lose(data, self._to_board))


class Says(Relay):
    """A board that says ``words`` once ``cue`` is in what was sent to it, and then no more."""

    def __init__(self, console: Console, *, cue: bytes, words: bytes) -> None:
        super().__init__(console)
        self._cue = cue
        self._sent = b""
        self._words = [words[start : start + 100] for start in range(0, len(words), 100)]

    def write(self, data: bytes) -> None:
        super().write(data)
        self._sent += data

    def read(self, timeout: float) -> bytes:
        if self._cue not in self._sent:
            return super().read(timeout)
        if self._words:
            return self._words.pop(0)
        super().read(timeout)
        return b""


class Closes(Says):
    """The same, and then the line is gone."""

    def read(self, timeout: float) -> bytes:
        if self._cue in self._sent and not self._words:
            self.console.close()
        return super().read(timeout)


def script(directory: Path, text: str) -> str:
    """The command line that runs ``text``, a script in the place of a board's init."""
    file = directory / "board.sh"
    file.write_text(text)
    return f"sh {file}"


@contextmanager
def attached(
    command: str, relay: Callable[[Console], Console] = lambda console: console, timeout: float = 30
) -> Iterator[Shell]:
    console = relay(ProcessConsole(command))
    try:
        shell = Shell.attach(console, LINE, timeout=timeout)
        try:
            yield shell
        finally:
            shell.leave()
    finally:
        console.close()


def until(console: Console, words: bytes, seconds: float = 10) -> bytes:
    """What a console says until ``words`` are in it."""
    said = b""
    deadline = time.monotonic() + seconds
    while words not in said:
        assert time.monotonic() < deadline, said
        said += console.read(0.1)
    return said
