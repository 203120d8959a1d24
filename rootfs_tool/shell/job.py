"""One command on the board: started once, watched, its output fetched, or killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from rootfs_tool.console.tail import last_lines
from rootfs_tool.errors import ConsoleError, ConsoleTimeout
from rootfs_tool.shell.encoding import encode
from rootfs_tool.shell.wire import Answer, Wire

_PART = 3000  # characters of one request: well below what a terminal holds of a line
_SMALLEST_PART = 100  # on a line that loses bytes
_BLOCK = 512  # bytes; the unit in which output is asked for
_BLOCKS = 64  # in one answer, while none comes damaged
_COPIES = 30  # times that one piece, of a command or of its output, may come damaged
_POLL = 0.15  # seconds between two looks at the output of a running command
_ASK = 1.0  # seconds before we ask how a silent command does; doubled, up to _ASK_LATER
_ASK_LATER = 2.0


class Job:
    def __init__(self, wire: Wire, command: str, on_output: Callable[[bytes], None] | None) -> None:
        """Send ``command``; ``on_output`` gets its output as it comes."""
        self.output = bytearray()
        self._wire = wire
        self._command = command
        self._on_output = on_output
        text = encode(command.encode())
        self._whole = False
        verb = "run" if on_output is None else "watch"
        self._request = f"{verb} {text}"
        if len(text) > _PART:
            self._send_parts(text)
            self._request = "long" if on_output is None else "watchlong"
        self._number = wire.number()
        wire.send(self._number, self._request)

    def _send_parts(self, text: str) -> None:
        offset, size, failed = 0, _PART, 0
        while offset < len(text):
            piece = text[offset : offset + size]
            answer = self._wire.ask(f"part {offset},{len(piece)}", line=f":{piece}")
            if int(answer.fields[1]) == offset + len(piece):
                offset, failed = offset + len(piece), 0
                continue
            size, failed = max(_SMALLEST_PART, size // 4), failed + 1
            if failed > _COPIES:
                raise self._hopeless()

    def await_end(self, deadline: float, timeout: float) -> str:
        """Its status, or "full". Raises ConsoleTimeout at ``deadline`` (a time.monotonic())."""
        pause = _POLL if self._on_output else _ASK
        while True:
            left = deadline - time.monotonic()
            answer = self._wire.wait(self._number, min(pause, max(left, 0)), wary=True)
            if answer and answer.letter == "E" and answer.body is not None:
                self.output += answer.body
                self._whole = True
            if answer and answer.fields[1] != "running":
                return answer.fields[1]
            if left <= 0:
                raise self._overdue(timeout)
            if self._wire.damaged:  # sent again it is not run again: its status comes once more
                self._wire.send(self._number, self._request)
                continue
            job, status = self._look()
            if job != self._number:  # it never arrived
                self._wire.send(self._number, self._request)
            elif status.isdigit():
                return status
            pause = pause if self._on_output else min(_ASK_LATER, 2 * pause)

    def _look(self) -> tuple[int, str]:
        """The number of the newest command on the board, and its status; streams its output."""
        if self._on_output is None:
            answer = self._wire.ask("state")
            return int(answer.fields[1]), answer.fields[2]
        while True:
            job, status, more = self._next_piece()
            if not more:
                return job, status

    def collect(self) -> None:
        """Fetch what is not here yet of the output of a command that has ended."""
        if self._whole:
            return
        if self._on_output is None:
            answer = self._wire.ask("whole")
            if answer.body is not None:
                self.output += answer.body
                return
        while self._next_piece()[2]:  # damaged, or streamed: piece by piece
            pass

    def _next_piece(self) -> tuple[int, str, bool]:
        """Fetch the output from where we are: newest command, its status, whether there is more."""
        skipped = len(self.output) % _BLOCK
        blocks, verb = _BLOCKS, "chunk"
        for _ in range(_COPIES):
            answer = self._wire.ask(f"{verb} {len(self.output) // _BLOCK},{blocks}")
            if answer.body is not None:
                job, _, status = answer.fields[1].partition(":")
                if int(job) == self._number:
                    self._take(answer.body[skipped:])
                return int(job), status, len(answer.body) == blocks * _BLOCK
            blocks, verb = max(1, blocks // 4), "coded"
        raise self._hopeless()

    def _take(self, fresh: bytes) -> None:
        self.output += fresh
        if fresh and self._on_output:
            self._on_output(fresh)

    def kill(self) -> Answer | None:
        """End it with all that it started; None when the board does not answer."""
        with suppress(ConsoleError):
            return self._wire.ask("kill", tries=2)
        return None

    def _overdue(self, timeout: float) -> ConsoleTimeout:
        self._wire.ask("kill")
        answer = self._wire.ask("tail 2000")
        self._wire.send(self._wire.number(), "got")
        return ConsoleTimeout(
            f"`{self._command}` did not end within {timeout:g} s; it was killed",
            tail=last_lines(answer.body or b""),
            hint="the last lines are its output; does it wait for input, or need more time?",
        )

    def _hopeless(self) -> ConsoleError:
        return ConsoleError(
            f"no undamaged copy came through for `{self._command}`",
            tail=self._wire.stream.tail,
            hint="the line loses or changes bytes: a lower baudrate, a shorter or better cable?",
        )
