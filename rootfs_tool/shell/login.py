"""From whatever a console shows to a shell's prompt: a boot, a login, a half-typed line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from rootfs_tool.console import baud
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConsoleError, ConsoleTimeout, Hung
from rootfs_tool.events import note
from rootfs_tool.shell import sights
from rootfs_tool.shell.foremost import Foremost
from rootfs_tool.shell.sights import SILENT, State, settled
from rootfs_tool.shell.stream import GOODBYE, Stream

PASSWORD = "ROOTFS_TOOL_PASSWORD"  # the environment variable that holds it

_HEAR = 0.5  # seconds for an answer to a key
_STILL = 2.0  # seconds of silence after which what has the terminal is not just slow
_PAUSES = (SILENT, _HEAR, _STILL, _HEAR)  # seconds before each of the first knocks
_KEY = 0.7  # seconds in which a program ends that a key ends
_TALKS = 10.0  # seconds after which what never stops talking, and is no boot, is a program
_WAKE = 2.0  # seconds before we knock while a board boots: a boot has its pauses
_AUTOBOOT = 15.0  # seconds that U-Boot may count down, or look for something to boot
_RARELY = 5.0  # seconds between two knocks from then on: the next may meet a boot loader
_PAGERS = 3  # one in another, at most, that `q` leaves
_RETURN = b"\r"
# With what we had typed meanwhile after the prompt.
_STOPPED = re.compile(rb"autoboot[^\n]*\n(?:(?:=>|U-Boot>) [^\n]*(?:\n|\Z))+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What may be done to get a prompt, beside typing a user's name.

    ``ask_password`` gets a prompt for a person and returns what was typed; ``boot`` lets `boot` be
    typed at U-Boot's prompt; ``restart`` starts a board anew that nothing else wakes.
    """

    ask_password: Callable[[str], str] | None = None
    boot: bool = False
    restart: Callable[[], object] | None = None


def await_prompt(
    stream: Stream, line: Line, deadline: float, allowed: Allowed | None = None
) -> None:
    """Return when a shell's prompt waits for a command, logging in on the way.

    Raises ConsoleTimeout at ``deadline`` (a time.monotonic()); ConsoleError at U-Boot's prompt, or
    when the login is refused; Hung when a program that has the console cannot be ended.
    """
    stream.booting = True
    approach = _Approach(stream, line, allowed or Allowed(), deadline)
    while (now := time.monotonic()) < approach.deadline:
        until = min(approach.deadline, now + _TALKS)
        state = settled(stream, approach.patience(), until, approach.patience)
        if state is State.SHELL:
            approach.arrived()
            return
        if (after := time.monotonic()) < approach.deadline:
            approach.act(state, talks=after - now >= _TALKS)
    raise approach.overdue()


class _Approach:
    """What to do about each thing that a console can show, and how often it was done."""

    def __init__(self, stream: Stream, line: Line, allowed: Allowed, deadline: float) -> None:
        self.deadline = deadline
        self._begun = time.monotonic()
        self._stream = stream
        self._line = line
        self._allowed = allowed
        self._foremost = Foremost(stream)
        self._knocks = self._passwords = self._declined = 0
        self._talked = self._pressed = self._named = False
        self._boot_typed = self._restarted = self._searched = False

    def patience(self) -> float:
        """Seconds of silence before we knock."""
        if self._stream.watcher.in_boot_loader:
            return _AUTOBOOT
        if sights.booting(self._stream):
            return _WAKE
        if self._foremost.pressed:
            return _KEY
        if self._knocks < len(_PAUSES):
            return _PAUSES[self._knocks]
        return _STILL if self._heard() else _RARELY

    def _heard(self) -> bool:
        self._talked = self._talked or bool(self._stream.held)
        return self._talked

    def act(self, state: State | None, *, talks: bool) -> None:
        if state is not None:
            self._knocks = 0
        match state:
            case State.LOGIN:
                self._check_refused()
                self._named = True
                self._send(self._line.user.encode() + _RETURN)
            case State.PASSWORD if not (self._named or self._declined):
                self._declined += 1  # it is another user's: the next prompt will be for a name
                self._send(_RETURN)
            case State.PASSWORD:
                self._check_refused()
                self._passwords += 1
                self._send(self._password() + _RETURN)
            case State.AGENT:  # of a run that was killed
                self._send(GOODBYE)
            case State.U_BOOT:
                self._boot()
            case State.CONTINUATION:
                self._send(sights.INTERRUPT)
            case State.ENTER:
                self._send(_RETURN)
            case State.PAGER if len(self._foremost.pressed) < _PAGERS:
                self._foremost.leave_pager()
            case State.COUNTDOWN:
                self._let_it_boot()
            case _ if self._stream.watcher.in_boot_loader and talks:
                pass
            case _ if talks and sights.own_words(self._stream):
                self._end_program()
            case _:
                self._knock()

    def _send(self, data: bytes) -> None:
        self._stream.forget()
        self._stream.write(data)

    # -- a silence -----------------------------------------------------------------------------

    def _knock(self) -> None:
        if self._rate_was_wrong():
            return
        self._knocks += 1
        self._pressed = True
        stream = self._stream
        if self._foremost.pressed or (self._knocks > 1 and sights.full_screen(stream)):
            self._end_program()
        elif sights.booting(stream):
            self._knocks = 0
            self._send(sights.ENTER)
        elif self._knocks == 1:
            self._send(sights.REDRAW)
        elif self._knocks == 2:
            sights.press_enter(stream, self.deadline)
        elif self._knocks == 3:
            sights.ask_kernel(stream)
        elif sights.own_words(stream) or sights.kernel_answered(stream):
            self._end_program()
        else:
            self._nothing_comes()

    def _nothing_comes(self) -> None:
        if self._knocks == len(_PAUSES):
            note("nothing comes from the board: is it off? waiting")
            if self._restart(self._hung("nothing comes from the board")):
                return
        self._stream.write(sights.ENTER)

    def _end_program(self) -> None:
        """Press the next of the keys that end a program; each is given time to show its effect."""
        if not self._foremost.press():
            hung = self._hung("a program has the console, and nothing ends it")
            if not self._restart(hung):
                raise hung

    def _restart(self, hung: Hung) -> bool:
        if self._allowed.restart is None or self._restarted:
            return False
        self._restarted = True
        note(f"{hung}: starting the board anew")
        self._stream.forget()
        self._allowed.restart()
        self._knocks = 0
        self._stream.watcher.booted = True
        return True

    def _hung(self, why: str) -> Hung:
        tried = ", ".join(self._foremost.pressed) or "Ctrl-L, Enter, a break"
        return Hung(
            f"{why}: {tried} did nothing",
            tail=self._stream.tail,
            hint="rootfs-tool reset --sysrq restarts it over the line, where the board allows that",
        )

    def _rate_was_wrong(self) -> bool:
        """Find the rate at which what comes is text, if it is none at this one."""
        said = self._stream.raw_tail()
        few = self._knocks > 2 and "\ufffd" in said.decode(errors="replace")
        if self._searched or not (few or baud.garbled(said)):
            return False
        self._searched = True
        configured = self._line.baudrate
        rate = baud.search(self._stream.console, configured, self.deadline)
        self._stream.forget()
        if rate is None:
            return False
        note(f"the board speaks at {rate} baud, not at {configured}: [console] baudrate = {rate}")
        return True

    # -- a boot loader -------------------------------------------------------------------------

    def _let_it_boot(self) -> None:
        self._stream.watcher.in_boot_loader = True
        left = self.deadline - time.monotonic()
        if not self._stream.receive(min(_AUTOBOOT, left)) and left > _AUTOBOOT:
            self._send(sights.ENTER)

    def _boot(self) -> None:
        """At U-Boot's prompt. What came before tells why it is there."""
        fell = [
            one
            for one in self._stream.watcher.incidents
            if one.kind == "fallback" and len(one.lines) > 1
        ]
        stopped = _STOPPED.search(self._stream.held) is not None
        if fell and not stopped:
            raise ConsoleError(
                "the board is at U-Boot's prompt: it found nothing that it could boot",
                tail="\n".join(fell[-1].lines),
                hint="is its card, its disk or its TFTP server there, with a kernel on it?",
            )
        if self._boot_typed or not (self._allowed.boot or (stopped and self._pressed)):
            raise ConsoleError(
                "the console is at U-Boot's prompt, not at a Linux shell's",
                tail=self._stream.tail,
                hint="boot Linux from there (`boot`), or power-cycle the board",
            )
        self._boot_typed = True
        note("the board is at U-Boot's prompt: `boot` typed")
        self._stream.watcher.in_boot_loader = True
        self._send(b"boot" + _RETURN)

    # -- a login -------------------------------------------------------------------------------

    def _check_refused(self) -> None:
        said = self._stream.held
        if self._passwords and (b"ncorrect" in said or self._passwords > 2):
            raise ConsoleError(
                f"the board refused the login of {self._line.user}",
                tail=self._stream.tail,
                hint=f"is {PASSWORD} right, and may {self._line.user} log in on this console?",
            )

    def _password(self) -> bytes:
        """It is never in an error, a log or the transcript."""
        password = os.environ.get(PASSWORD)
        if password is None and self._allowed.ask_password is not None:
            asked = time.monotonic()
            password = self._allowed.ask_password(f"password of {self._line.user} on the board")
            self.deadline += time.monotonic() - asked
        if password is None:
            raise ConsoleError(
                f"the board asks for the password of {self._line.user}",
                tail=self._stream.tail,
                hint=f"put it in the environment variable {PASSWORD}",
            )
        return password.encode()

    # -- the end -------------------------------------------------------------------------------

    def arrived(self) -> None:
        self._foremost.tell()

    def overdue(self) -> ConsoleTimeout:
        seconds = self.deadline - self._begun
        if not self._heard() and self._stream.tail:
            return ConsoleTimeout(
                f"nothing more came from the board within {seconds:.0f} s",
                tail=self._stream.tail,
                hint="it hangs, or its power or the cable went: rootfs-tool reset starts it anew",
            )
        if not self._heard():
            return ConsoleTimeout(
                f"not a byte came from the board within {seconds:.0f} s",
                hint="is it powered, the cable on the right pins, console= on its command line?",
            )
        return ConsoleTimeout(
            f"no shell prompt came on the console within {seconds:.0f} s",
            tail=self._stream.tail,
            hint="the last lines show how far the board came; is its baudrate the profile's?",
        )
