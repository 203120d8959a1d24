"""Requests to the agent on the board, and its answers out of all that the board sends."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from rootfs_tool.errors import ConsoleTimeout
from rootfs_tool.shell import kernellog
from rootfs_tool.shell.digest import NONE, agrees
from rootfs_tool.shell.encoding import decoded, unpacked
from rootfs_tool.shell.incident import Incident
from rootfs_tool.shell.pace import Pace, Size
from rootfs_tool.shell.stream import Stream

SETTLED = 0.1  # seconds of silence after which half an answer is looked at more closely
PATIENCE = 1.0  # seconds before a request is sent again; doubled each time, up to four
_SOON = 0.15  # seconds for any answer where we saw a kernel's last words, if none of a program's
_LONGEST_SETTLED = 0.15
_IMPATIENCE = 0.25  # the same on a line that was seen to lose something
_REPEATS = 40  # times that a request or its answer may come damaged
_LONGEST_FRAME = 1024  # bytes
_SHORT_BODY = 256  # bytes: of one line in base64, behind what is left of its opening mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    letter: str
    fields: tuple[str, ...]
    body: bytes | None = b""
    """None when it came damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """The mark before a body that has not ended yet, and where that mark is in what we hold."""

    fields: bytes
    start: int
    end: int


class Wire:
    def __init__(self, stream: Stream, mark: str, baudrate: int) -> None:
        """``mark`` is the word that the agent's answers carry; ``baudrate`` is the line's."""
        self.stream = stream
        stream.watcher.mark = mark.encode()
        self.mark = mark
        self.kernel_log: list[bytes] = []
        self.damaged = False
        """Whether the last request, or what answers it, did not pass the line whole."""

        self.tool = "none"
        """The program that makes the board's digests."""

        self.text_only = False
        """Whether some bytes mean something else on the line: XON/XOFF."""

        self.pace = Pace(baudrate)
        self.parts = Size(24, 3072)
        """Characters of a long command in one line: well below what a terminal holds of one."""

        self.chunks = Size(64, 32768)
        """Bytes of output in one answer."""

        self.copies = 2
        """How often a request is written in its line."""

        self._number = self._awaited = 0
        self._held = stream.held
        self._scanned = self._given_up = 0
        self._opening: _Opening | None = None
        self._settled = SETTLED
        self._answers: dict[int, Answer] = {}
        self._frame = re.compile(
            rb"\n\x1e([A-Z]) " + mark.encode() + rb" ([^|\n\x1e]*)\|\2 \1\n", re.ASCII
        )

    # -- bytes ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.pace.write(data, self.stream.write)

    def seconds(self, size: int) -> float:
        """How long ``size`` bytes take on the line."""
        return self.pace.seconds(size)

    def forget(self) -> None:
        """Drop what is unread, and answers that nobody waited for."""
        rest, messages = kernellog.strip(bytes(self._held))
        self.kernel_log += messages
        self.stream.forget()
        if half := kernellog.HALF.search(rest):
            self._held += half[0]
        self._answers.clear()
        self._scanned = self._given_up = 0
        self._opening = None

    def receive(self, timeout: float) -> bool:
        """Take in what comes within ``timeout`` seconds; False when nothing does.

        Raises what Stream.read and Stream.watch raise.
        """
        if not self.stream.read(timeout):
            return False
        self._take_answers()
        self.stream.watch()
        return True

    # -- answers -------------------------------------------------------------------------------

    def _take_answers(self) -> None:
        position = self._scanned
        while frame := self._frame.search(self._held, position):
            letter, fields = frame[1].decode(), bytes(frame[2])
            if self._in_body(letter, fields):
                position = frame.end()
                continue
            if letter == "B":
                self._opening = _Opening(fields=fields, start=frame.start(), end=frame.end())
                position = frame.end()
                continue
            body = self._body(frame, fields) if letter == "E" else b""
            start = 0 if letter == "E" else frame.start()
            # an answer that came in the middle of a body leaves the body whole behind it
            del self._held[start : frame.end()]
            position = start
            self._given_up = min(self._given_up, start)
            self._file(letter, fields.decode(errors="replace"), body)
        self._scanned = max(position, len(self._held) - _LONGEST_FRAME)

    def _in_body(self, letter: str, fields: bytes) -> bool:
        """Whether what looks like an answer is text in the body of the one that is coming.

        The agent writes one body at a time, and only what was asked for.
        """
        if self._opening is None or letter not in "BEN":
            return False
        number = fields.partition(b" ")[0]
        same_body = number == self._opening.fields.partition(b" ")[0]
        if letter == "E" and same_body:
            return fields != self._opening.fields
        return letter == "N" or number != b"%d" % self._awaited

    def _file(self, letter: str, fields: str, body: bytes | None) -> None:
        self.stream.suspicion = None
        if letter == "E":
            self._opening = None
        if letter == "N":
            self._hurt()
            self.pace.damaged()
            return
        self.pace.arrived()
        words = tuple(fields.split(" "))
        if words[0].isdigit():
            self._settled = SETTLED
            self._answers[int(words[0])] = Answer(letter=letter, fields=words, body=body)

    def _body(self, frame: re.Match[bytes], fields: bytes) -> bytes | None:
        """The body before the closing ``frame`` when its digest agrees, perhaps once mended."""
        digest = fields.rpartition(b" ")[2].decode(errors="replace")
        if digest == "-":
            return b""
        if self._opening is not None and self._opening.fields == fields:
            plain = bytes(self._held[self._opening.end : frame.start()])
            for candidate in (unpacked(plain), plain):
                if agrees(candidate, digest):
                    self.kernel_log += kernellog.strip(bytes(self._held[: self._opening.start]))[1]
                    return candidate
        stripped, messages = kernellog.strip(bytes(self._held[: frame.end()]))
        self.kernel_log += messages
        begin = b"\n\x1eB %s %s|%s B\n" % (self.mark.encode(), fields, fields)
        rest = stripped.rpartition(b"\n\x1eE ")[0]
        body = rest.rpartition(begin)[2]
        for candidate in (unpacked(body), body, unpacked(decoded(body)), decoded(body)):
            if agrees(candidate, digest):
                return candidate
        for line in rest[-_SHORT_BODY:].split(b"\n"):  # the opening mark may be damaged
            if agrees(candidate := decoded(line), digest):
                return candidate
        return body if digest == NONE else None

    def _mend(self) -> None:
        """Find an answer whose own marks have kernel messages in them."""
        after = self._opening.end if self._opening else 0
        if self._held.find(b"\x1e", after) < 0:
            return
        stripped, messages = kernellog.strip(bytes(self._held))
        if any(frame[1] != b"B" for frame in self._frame.finditer(stripped)):
            self.kernel_log += messages
            self._held[:] = stripped
            self._scanned = 0
            self._opening = None
            self._take_answers()

    def _garbled(self) -> None:
        """Notice when what came last is an answer with bytes missing or changed.

        It is kept: the rest of it may only be late, and the next time we wait longer for that.
        """
        start = max(
            len(self._held) - _LONGEST_FRAME,
            self._opening.end if self._opening else 0,
            self._given_up,
        )
        if self._held.find(b"\x1eE " if self._opening else b"\x1e", start) < 0:
            return
        self._given_up = len(self._held)
        self._hurt()
        self._settled = min(_LONGEST_SETTLED, 2 * self._settled)

    def _hurt(self) -> None:
        self.damaged = True
        self.copies = 3  # the same change in two of them is rare, but such a line makes many

    # -- requests ------------------------------------------------------------------------------

    def number(self) -> int:
        self._number += 1
        return self._number

    def send(self, number: int, text: str, line: str | None = None) -> None:
        """Send a request, and the ``line`` of text that goes with it."""
        self.damaged = False
        request = "\\:".join([f"{number} {text}"] * self.copies)
        after = "" if line is None else f"{line}\n"
        self.write(f"{request}\n{after}".encode("ascii"))

    def wait(self, number: int, timeout: float, *, wary: bool = False) -> Answer | None:
        """The answer to a request; None after ``timeout`` seconds, or when something is damaged.

        While the body of an answer is coming the clock stands still. ``wary`` returns when there
        is a suspicion.
        """
        deadline = time.monotonic() + timeout
        self._awaited = number
        while number not in self._answers:
            now = time.monotonic()
            if self.damaged or now >= deadline:
                return None
            if not self.receive(min(self._settled, deadline - now)):
                self._mend()
                if number not in self._answers:
                    self._garbled()
            elif self._opening is not None:
                deadline = time.monotonic() + timeout
            if wary and self.stream.suspicion is not None:
                return self._answers.pop(number, None)
        return self._answers.pop(number)

    def _is_there(self, seen: Incident) -> bool:
        """Whether the agent still answers an empty line.

        A request is too much for a board that starts anew: whatever runs next would get it.
        """
        pause = _SOON if seen.sure else PATIENCE
        for _ in range(2 if seen.certain else 1):
            self.damaged = False
            self._answers.pop(0, None)
            before = len(self._held)
            self.write(b"\n")
            answered = self.wait(0, pause)
            talks = not seen.fatal and len(self._held) != before  # a long report takes its time
            if answered or self.damaged or talks:
                return True
        return self.stream.suspicion is None

    def ask(self, text: str, *, line: str | None = None, tries: int = 6) -> Answer:
        """Send a request that may be sent twice, until it is answered.

        Raises ConsoleTimeout when it never is, and what `receive` raises.
        """
        number = self.number()
        patience = first = PATIENCE if self.copies == 2 else _IMPATIENCE
        silences = 0
        for _ in range(_REPEATS):
            seen = self.stream.suspicion
            # On a clean line nothing but a kernel looks so, and a boot loader may be listening now:
            # a key would stop it.
            if seen and ((seen.sure and self.copies == 2) or not self._is_there(seen)):
                self.stream.give_up()
            self.send(number, text, line)
            before = len(self._held)
            if answer := self.wait(number, patience):
                return answer
            if not self.damaged and len(self._held) == before:
                silences += 1
                patience = min(4 * PATIENCE, 2 * patience)
            else:  # its answer came, or some of it
                patience = first
            if silences == tries:
                break
            if self.stream.suspicion is None:
                self.write(b"\n")  # it ends a request that lost its own
        self.stream.lost = True
        raise ConsoleTimeout(
            "the shell on the board answers no more",
            tail=self.stream.tail,
            hint="it hangs, or something else has taken its console",
        )
