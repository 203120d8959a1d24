"""The answers of a script at the other end of the line, out of all that the board sends."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from rootfs_tool.errors import ConsoleClosed, ConsoleError, KernelPanic, Rebooted

_HELD = 1024  # bytes: no answer is longer
_XON, _KILL = b"\x11", b"\x15"
_GOODBYES = 8
_GOODBYE = 1.5  # seconds for the answer to one


class Terminal(Protocol):
    """The raw line to a script that has the board's console: Shell.foreground."""

    def read(self, timeout: float) -> bytes: ...

    def write(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Mark:
    letter: str
    fields: tuple[str, ...]


class Marks:
    """Answers begin with a byte that text does not have, and hold their fields twice."""

    def __init__(self, line: Terminal, mark: str) -> None:
        self._line = line
        self._held = bytearray()
        self._frame = re.compile(
            rb"\n\x1e([A-Z]) " + mark.encode() + rb" ([^|\n\x1e]*)\|\2 \1\n", re.ASCII
        )

    def next(self, timeout: float) -> Mark | None:
        """The next answer; None after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not (found := self._frame.search(self._held)):
            del self._held[:-_HELD]
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._held += self._line.read(left)
        letter, fields = found[1].decode(), found[2].decode(errors="replace")
        del self._held[: found.end()]
        return Mark(letter, tuple(fields.split(" ")))

    def take(self, length: int, silence: float) -> bytes:
        """The ``length`` bytes after an answer; fewer when none come for ``silence`` seconds."""
        while len(self._held) < length:
            if not (some := self._line.read(silence)):
                break
            self._held += some
        taken = bytes(self._held[:length])
        del self._held[:length]
        return taken

    def put_back(self, data: bytes) -> None:
        """Look for answers in ``data`` once more, before all that is yet to come."""
        self._held[:0] = data


@contextmanager
def leaving(line: Terminal, marks: Marks, width: int) -> Iterator[None]:
    """End the script when the block ends before it, if the board is still there to hear it.

    Its requests are ``width`` characters.
    """
    try:
        yield
    except (ConsoleClosed, KernelPanic):
        raise
    except Rebooted:  # what was on its way comes to a new terminal, and an XOFF may be in it
        with suppress(ConsoleError):
            line.write(_XON + _KILL + _XON)
        raise
    except BaseException:
        with suppress(ConsoleError):
            leave(line, marks, width)
        raise


def leave(line: Terminal, marks: Marks, width: int) -> None:
    """Ask the script to end; in the middle of a block that has to be said again."""
    for _ in range(_GOODBYES):
        line.write(b"leave".ljust(width - 1) + b"\n")
        while mark := marks.next(_GOODBYE):
            if mark.letter == "L":
                return
            if mark.letter in "NR":  # it fell into something that was thrown away
                break


def script(name: str, settings: str) -> str:
    """The script of this package that is called ``name``, with ``settings`` in front of it.

    Comments and indentation stay here: the line is slow.
    """
    source = resources.files("rootfs_tool.transfer").joinpath(name).read_text()
    lines = (line.partition(" # ")[0].strip() for line in source.splitlines())
    body = "\n".join(line for line in lines if line and not line.startswith("#"))
    return f"{settings}\n{body}\n"
