"""A person at a terminal: the real program on a pseudo-terminal of its own."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command import PROGRAM

PREFIX = b"\x14"


class Typist:
    def __init__(self, *argv: str | Path, directory: Path | None = None) -> None:
        self._screen, self._terminal = os.openpty()
        self.found = termios.tcgetattr(self._terminal)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", PROGRAM, *argv],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            cwd=directory,
        )
        self.seen = b""
        self._read = 0

    def type(self, keys: bytes) -> None:
        """Press keys, or paste a text, while looking at the screen."""
        while keys:
            readable, writable, _ = select.select([self._screen], [self._screen], [], 20)
            assert writable or readable, "it reads no keys"
            if readable:
                self.seen += os.read(self._screen, 65536)
            if writable:
                keys = keys[os.write(self._screen, keys[:1024]) :]

    def until(self, words: bytes, seconds: float = 20) -> bytes:
        """What is on the screen since the last time, up to and with ``words``."""
        deadline = time.monotonic() + seconds
        while (end := self.seen.find(words, self._read)) < 0:
            assert select.select([self._screen], [], [], max(0, deadline - time.monotonic()))[0], (
                words,
                self.seen[self._read :],
            )
            self.seen += os.read(self._screen, 65536)
        shown = self.seen[self._read : end + len(words)]
        self._read = end + len(words)
        return shown

    def press(self, key: bytes, answer: bytes) -> bytes:
        """A key after the prefix, and what is said about it, up to ``answer``."""
        self.type(PREFIX + key)
        return self.until(answer)

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._terminal)

    def end(self, seconds: float = 20) -> int:
        """The exit code, once it has ended; what was last on the screen is in ``seen``."""
        status = self.process.wait(seconds)
        while select.select([self._screen], [], [], 0)[0]:
            self.seen += os.read(self._screen, 65536)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)
        os.close(self._screen)


@contextmanager
def typing(*argv: str | Path, directory: Path | None = None) -> Iterator[Typist]:
    """``rootfs-tool console`` with these arguments, once it is connected."""
    typist = Typist("console", *argv, directory=directory)
    try:
        typist.until(b"Ctrl-T q leaves\r\n")
        yield typist
    finally:
        typist.close()
