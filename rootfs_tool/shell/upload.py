"""A text to a board where nothing runs yet but a line of shell that takes it piece by piece."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from rootfs_tool.shell import kernellog
from rootfs_tool.shell.sights import PROMPTS, QUIET, screen, sight
from rootfs_tool.shell.wire import Answer, Wire

T = TypeVar("T")

PART = 3900  # characters in one line
_SMALL = 32  # on a line that loses bytes, where each comes twice
_TOGETHER = 8  # of these, sent before the first was answered
_SECONDS = 5.0  # in which a shell starts and says so, on a busy emulator too
_FIRST_NUDGE = 0.7  # seconds after which we press return: it makes the board repeat itself
_PATIENCE = 0.15  # seconds for an answer on top of what the line takes, and from one to the next
_STALL = 2.0  # seconds for any answer at all, once there was none


class Upload:
    """``text`` in lines of OFFSET,LENGTH:PIECE, where LENGTH is that of the line.

    The board answers each with RS, ``letter``, where the piece was that it took, a comma and how
    many characters it has without a gap; and that alone when a line was empty or damaged.
    """

    def __init__(
        self,
        wire: Wire,
        text: str,
        letter: str,
        separator: str,
        *,
        wary: bool,
        in_order: bool = False,
    ) -> None:
        """``separator`` is not in ``text``; it comes between the copies of a ``wary`` line."""
        self.wary = wary
        """Whether each line is sent twice: it stays so once one was damaged."""

        self._wire = wire
        self._text = text
        self._separator = separator
        self._window = 1 if in_order else _TOGETHER
        self._mark = re.compile(rb"\x1e" + letter.encode() + rb"(\d*),(\d+)\r?\n")
        self._there: int | None = None
        self._taken: set[int] = set()
        self._pieces: dict[int, str] = {}
        self._batch: list[int] = []
        self._owed = 0  # answers to empty lines, which say nothing of the others
        self._refused = 0  # answers that say that a line came damaged
        self._asked = False
        self._cut(0)

    def until_answered(self, deadline: float) -> Answer | None:
        """Send it all; the agent's first answer, or None when a prompt is there instead."""

        def answer() -> Answer | None:
            self._wire.damaged = False  # its first answer comes unasked
            return self._wire.wait(0, QUIET if self._all_sent() else 0)

        return self._send_all(answer, deadline)

    def until(self, mark: bytes, deadline: float) -> bool:
        """The same for what says ``mark`` when it runs."""
        wanted = b"\x1e" + mark

        def said() -> bool | None:
            return wanted in self._wire.stream.held or None

        return self._send_all(said, deadline) is not None

    def _send_all(self, finished: Callable[[], T | None], deadline: float) -> T | None:
        now = time.monotonic()
        limit, due, answered = now + _SECONDS, now + _FIRST_NUDGE, 0
        while now < min(deadline, limit):
            if (result := finished()) is not None:
                return result
            if (heard := self._hear()) > answered:
                limit, answered = now + _SECONDS, heard
                due = max(due, now + _PATIENCE)
            if now >= due or (answered and self._is_answered(answered)):
                pause = self._go_on()
                due, answered = time.monotonic() + pause, 0
            elif not self._wire.receive(QUIET) and sight(screen(self._wire.stream)) in PROMPTS:
                return None
            now = time.monotonic()
        return None

    def _hear(self) -> int:
        """Note what the board has; how often it has answered since the last lines were sent."""
        marks = self._marks()
        taken = [int(taken) for taken, _ in marks if taken]
        self._taken.update(taken)
        if marks:
            self._there = int(marks[-1][1])
        self._refused = max(0, len(marks) - len(taken) - self._owed)
        return len(taken) + self._refused

    def _marks(self) -> list[tuple[bytes, bytes]]:
        return self._mark.findall(kernellog.strip(bytes(self._wire.stream.held))[0])

    def _go_on(self) -> float:
        """Send the next lines, or ask how far the board is; the seconds to wait for an answer."""
        silent = not self._refused and not any(map(self._arrived, self._batch))
        if self._batch and silent and not self._asked:
            self._asked = True  # it may only be late: one more copy of all of it would not help
            self._write("\r")
            return _STALL
        self._asked = False
        self._judge()
        missing = self._missing()
        if not missing and not self._batch and self._lacks():
            self._taken.clear()  # one of them is not what was sent
            self.wary = True
            self._cut(self._there or 0)
        self._batch = missing[: self._window if self.wary else 1]
        lines = "".join(self._line(offset) for offset in self._batch) or "\r"
        self._write(lines)
        return 2 * self._wire.seconds(len(lines)) + _PATIENCE

    def _write(self, lines: str) -> None:
        self._owed = max(0, self._owed - len([one for one in self._marks() if not one[0]]))
        self._owed += lines == "\r"
        self._wire.forget()
        self._wire.write(lines.encode())

    def _missing(self) -> list[int]:
        """Where the pieces begin that the board has not; known once it has said anything."""
        there = self._there
        if there is None:
            return []
        if self._lacks() and there not in self._pieces:  # it took a larger one after all
            self._cut(there)
        return [one for one in self._pieces if one >= there and one not in self._taken]

    def _lacks(self) -> bool:
        return self._there is not None and self._there < len(self._text)

    def _is_answered(self, times: int) -> bool:
        return times >= len(self._batch) or self._arrived(self._batch[-1])

    def _arrived(self, offset: int) -> bool:
        return offset in self._taken or offset < (self._there or 0)

    def _all_sent(self) -> bool:
        return self._there is not None and not self._batch

    def _judge(self) -> None:
        """What became of the lines sent last says how good the line is."""
        if not self._batch:
            return
        if arrived := sum(map(self._arrived, self._batch)):
            for _ in range(arrived):
                self._wire.pace.arrived()
            return
        self._wire.pace.damaged()
        if not self.wary:
            self.wary = True
            self._cut(self._there or 0)

    def _cut(self, start: int) -> None:
        size = _SMALL if self.wary else PART
        self._pieces = {
            offset: self._text[offset : offset + size]
            for offset in range(start, len(self._text), size)
        }

    def _line(self, offset: int) -> str:
        length, line = 0, ""
        while length != len(line := f"{offset},{length}:{self._pieces[offset]}"):
            length = len(line)
        return f"{line}{self._separator}{line}\n" if self.wary else f"{line}\n"
