"""One command on the board: started once, watched, its output fetched, or killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from rootfs_tool.console.tail import last_lines
from rootfs_tool.errors import ConsoleError, ConsoleTimeout
from rootfs_tool.shell import digest
from rootfs_tool.shell.encoding import encode
from rootfs_tool.shell.wire import Answer, Wire

SHORT = 150  # characters, below which it costs less to type a command twice than to take its digest
_WARY_SHORT = 24  # the same on a line that loses or changes bytes
_WARY_PART = 384  # characters of one line there
_BLOCK = 512  # bytes; the unit in which output is asked for, if it is not less
_COPIES = 30  # times that one piece, of a command or of its output, may come damaged
_POLL = 0.15  # seconds between two looks at the output of a running command
_ASK = 1.0  # seconds before we ask how a silent command does; doubled, up to _ASK_LATER
_ASK_LATER = 2.0

Sink = Callable[[bytes], None]


class Output:
    """What a command has written so far to one of its files on the board."""

    def __init__(self, wire: Wire, file: str, sink: Sink | None) -> None:
        """``file`` is "" for what goes along with the answers, or ",err" for the other one."""
        self.data = bytearray()
        self._wire = wire
        self._file = file
        self._sink = sink

    def add(self, fresh: bytes) -> None:
        self.data += fresh
        if fresh and self._sink:
            self._sink(fresh)

    def next_piece(self, number: int) -> tuple[int, str, bool]:
        """Fetch from where we are: newest command, its status, and whether there is more.

        It is added only if the newest command is ``number``.
        """
        size = self._wire.chunks
        coded = self._wire.text_only
        before = None
        for _ in range(_COPIES):
            asked, block = size.now, min(_BLOCK, size.now)
            skipped = len(self.data) % block
            where = f"{block},{len(self.data) // block},{asked // block}{self._file}"
            answer = self._wire.ask(f"{'coded' if coded else 'chunk'} {where}")
            state = answer.fields[1].split(":") if len(answer.fields) > 1 else []
            body = answer.body
            if self._wire.tool == "none":  # equal twice is as good as it gets
                body, before = (body if body == before else None), body
            elif body is None:
                coded = True
                size.damaged()
            else:
                size.arrived()
            if body is not None and len(state) == 3 and true(*state):
                if int(state[0]) == number:
                    self.add(body[skipped:])
                return int(state[0]), state[1], len(body) == asked
        raise hopeless(self._wire, "its output")


class Job:
    def __init__(
        self,
        wire: Wire,
        command: str,
        before: str,
        on_output: Sink | None,
        on_error: Sink | None = None,
        *,
        apart: bool = False,
    ) -> None:
        """Send ``command``; ``on_output`` and ``on_error`` get what it writes as it comes.

        ``before`` is what the board's shell does first; ``apart`` says that it redirects stderr to
        the agent's file for that.
        """
        self.output = Output(wire, "", on_output)
        self.errors = Output(wire, ",err", on_error)
        self._apart = apart
        self._wire = wire
        self._command = command
        self._watched = bool(on_output or on_error or wire.text_only)
        self._whole = False
        self._text = encode((before + command).encode())
        shortest = SHORT if wire.copies == 2 else _WARY_SHORT
        short = len(self._text) <= shortest or wire.tool == "none"
        self._request = f"{'w' if self._watched else 'r'} {self._text}"
        if not short:
            send_long(wire, self._text)
            check = digest.of(self._text.encode(), wire.tool)
            self._request = f"{'wlong' if self._watched else 'long'} {check}"
        self._number = wire.number()
        wire.send(self._number, self._request)

    def await_end(self, deadline: float, timeout: float) -> str:
        """Its status, or "full". Raises ConsoleTimeout at ``deadline`` (a time.monotonic())."""
        pause = _POLL if self._watched else _ASK
        while True:
            left = deadline - time.monotonic()
            answer = self._wire.wait(self._number, min(pause, max(left, 0)), wary=True)
            status = self._answered(answer) if answer else None
            if status not in (None, "running"):
                return status
            if left <= 0:
                raise self._overdue(timeout)
            if self._wire.damaged or (answer and not status):  # sent again it is not run again
                self._wire.send(self._number, self._request)
                continue
            job, status = self._look(deadline)
            if job != self._number:  # it never arrived
                self._wire.send(self._number, self._request)
            elif status != "running":
                return status
            pause = pause if self._watched else min(_ASK_LATER, 2 * pause)

    def _answered(self, answer: Answer) -> str | None:
        """The status in an answer to the request itself, or "running"; None if it is not true."""
        if answer.letter == "P":  # the long text was not what its digest says
            send_long(self._wire, self._text)
            return None
        if len(answer.fields) < 3 or not true(*answer.fields[:3]):
            return None
        if answer.letter == "E" and answer.body is not None and self._wire.tool != "none":
            self.output.add(answer.body)
            self._whole = True
        if answer.fields[3:] == ("-",) and answer.fields[1].isdigit():
            self._whole = not self.output.data  # there is none
        return answer.fields[1]

    def _look(self, deadline: float) -> tuple[int, str]:
        """The number of the newest command on the board, and its status; streams its output.

        What still writes at the ``deadline`` is left alone: it may write faster than the line.
        """
        if not self._watched:
            while True:
                answer = self._wire.ask("state")
                if len(answer.fields) > 3 and true(*answer.fields[1:4]):
                    return int(answer.fields[1]), answer.fields[2]

        def goes_on(more: bool, status: str) -> bool:
            return more and (status != "running" or time.monotonic() < deadline)

        job, status, more = self.output.next_piece(self._number)
        while goes_on(more, status):
            job, status, more = self.output.next_piece(self._number)
        more = self._apart and job == self._number
        while goes_on(more, status):
            _, status, more = self.errors.next_piece(self._number)
        return job, status

    def collect(self) -> None:
        """Fetch what is not here yet of the output of a command that has ended."""
        while self._apart and self.errors.next_piece(self._number)[2]:
            pass
        if self._whole:
            return
        if not self._watched and self._wire.tool != "none" and self._wire.copies == 2:
            answer = self._wire.ask("whole")
            if answer.body is not None:
                self.output.add(answer.body)
                return
        while self.output.next_piece(self._number)[2]:  # damaged, or streamed: piece by piece
            pass

    def kill(self) -> Answer | None:
        """End it with all that it started; None when the board does not answer."""
        with suppress(ConsoleError):
            return self._wire.ask("kill", tries=2)
        return None

    def _overdue(self, timeout: float) -> ConsoleTimeout:
        self._wire.ask("kill")
        answer = self._wire.ask("tail 2000")
        self._wire.write(b"g\n")
        return ConsoleTimeout(
            f"`{self._command}` did not end within {timeout:g} s; it was killed",
            tail=last_lines((answer.body or b"") + bytes(self.errors.data)),
            hint="the last lines are its output; does it wait for input, or need more time?",
        )


def true(job: str, status: str, check: str) -> bool:
    """Whether ``check`` is what the agent computes of the other two."""
    if not job.isdigit() or not status.isdigit():
        return job.isdigit() and status in ("running", "full")
    return check == str(int(job) * 256 + int(status))


def send_long(wire: Wire, text: str) -> None:
    """Send a text too long for one line; its digest goes with the request that uses it."""
    offset, failed = 0, 0
    while offset < len(text):
        wary = wire.copies > 2
        piece = text[
            offset : offset + (min(wire.parts.now, _WARY_PART) if wary else wire.parts.now)
        ]
        answer = wire.ask(
            f"part {offset},{len(piece)}", line=f":{piece}\\:{piece}" if wary else f":{piece}"
        )
        there = int(answer.fields[1]) if answer.letter == "P" else offset
        if there != offset:  # by the answer to an earlier copy of this request, perhaps
            wire.parts.arrived()
            offset, failed = there, 0
            continue
        wire.parts.damaged()
        failed += 1
        if failed > _COPIES:
            raise hopeless(wire, "a long command")


def hopeless(wire: Wire, what: str) -> ConsoleError:
    return ConsoleError(
        f"no undamaged copy of {what} came through",
        tail=wire.stream.tail,
        hint="the line loses or changes bytes: a lower baudrate, a shorter or better cable?",
    )
