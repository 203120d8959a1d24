"""From whatever a console shows to a shell's prompt: a boot, a login, a half-typed line."""

from __future__ import annotations

import os
import re
import time
from typing import Literal

from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConsoleError, ConsoleTimeout
from rootfs_tool.shell import kernellog
from rootfs_tool.shell.stream import Stream

PASSWORD = "ROOTFS_TOOL_PASSWORD"  # the environment variable that holds it

QUIET = 0.06  # seconds in which a line that goes on would have gone on
_WAKE_SILENT = 0.7  # seconds before we knock on a console that never said a word
_WAKE = 2.0  # seconds before we knock where something came: a boot has its pauses
_AUTOBOOT = 15.0  # seconds that U-Boot may count down: a key would stop it there

_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_ASKS_CURSOR = b"\x1b[6n"  # BusyBox's line editor, after its prompt: it is listening now
_HALF_MESSAGE = re.compile(rb"\[ *\d+\.\d[^\r\n]*\Z")
_RETURN, _INTERRUPT = b"\r", b"\x03"

Sight = Literal["prompt", "login", "password", "agent", "u-boot", "more", "enter", "autoboot"]

_SIGHTS: dict[Sight, re.Pattern[bytes]] = {
    "agent": re.compile(rb"\n\x1e[A-Z] \w+ [^\n]*\n\Z"),
    "u-boot": re.compile(rb"(?:^|[\r\n])(?:=> |U-Boot> )\Z"),
    "login": re.compile(rb"(?<!Last )login: ?\Z"),
    "password": re.compile(rb"[Pp]assword: ?\Z"),
    "prompt": re.compile(rb"[#$] \Z"),
    "more": re.compile(rb"[\r\n]> \Z"),
    "enter": re.compile(rb"press Enter to activate this console\. ?\s*\Z"),
    "autoboot": re.compile(rb"autoboot: *\d+[\s\x08\d]*\Z"),
}


# Seconds in which more of a boot log may gather: an emulated port passes on a few bytes at a time,
# and to look at each of them takes the processor away from the emulator.
_GATHER = 0.01


def await_prompt(stream: Stream, line: Line, deadline: float) -> None:
    """Return when a shell's prompt waits for a command, logging in on the way.

    Raises ConsoleTimeout at ``deadline`` (a time.monotonic()), and ConsoleError at U-Boot's
    prompt or when the login is refused.
    """
    approach = _Approach(stream, line)
    end, changed = b"", (begun := time.monotonic())
    while (now := time.monotonic()) < deadline:
        if (ahead := screen(stream)) != end:
            end, changed = ahead, now
        seen = sight(end)
        if seen == "prompt" and (end.endswith(_ASKS_CURSOR) or now - changed >= QUIET):
            return
        if now - changed >= approach.pause(seen):
            approach.act(seen)
            changed = time.monotonic()
        if stream.receive(min(QUIET, deadline - now)):
            approach.silent = False
            time.sleep(_GATHER)
    raise _no_prompt(stream, approach.silent, deadline - begun)


class _Approach:
    """What to do about each thing that a console can show, and how often it was done."""

    def __init__(self, stream: Stream, line: Line) -> None:
        self.silent = True
        self._stream = stream
        self._line = line
        self._knocks = self._passwords = 0

    def pause(self, seen: Sight | None) -> float:
        """Seconds that what is seen has to stand before something is done about it."""
        match seen:
            case None:
                return _WAKE_SILENT if self.silent else _WAKE
            case "autoboot":
                return _AUTOBOOT
            case _:
                return QUIET

    def act(self, seen: Sight | None) -> None:
        match seen:
            case "login":
                self._check_refused()
                self._send(self._line.user.encode() + _RETURN)
            case "password":
                self._check_refused()
                self._passwords += 1
                self._send(_password(self._stream, self._line) + _RETURN)
            case "agent":  # of a run that was killed: it leaves, one way or the other
                self._knocks += 1
                self._send(_INTERRUPT if self._knocks % 2 else b"\n7 0 leave\n")
            case "u-boot":
                raise ConsoleError(
                    "the console is at U-Boot's prompt, not at a Linux shell's",
                    tail=self._stream.tail,
                    hint="boot Linux from there (`boot`), or power-cycle the board",
                )
            case "more":
                self._send(_INTERRUPT)
            case "enter":
                self._send(_RETURN)
            case "autoboot" | "prompt" | None:
                # where nothing came, somebody's half-typed line may wait: do not enter it
                self._knocks += 1
                self._send(_INTERRUPT if self.silent and self._knocks % 2 else _RETURN)

    def _send(self, data: bytes) -> None:
        self._stream.forget()
        self._stream.write(data)

    def _check_refused(self) -> None:
        said = self._stream.held
        if self._passwords and (b"ncorrect" in said or self._passwords > 2):
            raise ConsoleError(
                f"the board refused the login of {self._line.user}",
                tail=self._stream.tail,
                hint=f"is {PASSWORD} right, and may {self._line.user} log in on this console?",
            )


def screen(stream: Stream) -> bytes:
    """The end of what came, without the kernel's messages in it."""
    return _HALF_MESSAGE.sub(b"", kernellog.strip(bytes(stream.held[-4096:]))[0])[-400:]


def sight(end: bytes) -> Sight | None:
    """What the last bytes of a console show, if anything that we know."""
    plain = _ESCAPE.sub(b"", end)
    for name, pattern in _SIGHTS.items():
        if pattern.search(plain):
            return name
    return None


def _password(stream: Stream, line: Line) -> bytes:
    """It is never in an error, a log or the transcript."""
    password = os.environ.get(PASSWORD)
    if password is None:
        raise ConsoleError(
            f"the board asks for the password of {line.user}",
            tail=stream.tail,
            hint=f"put it in the environment variable {PASSWORD}",
        )
    return password.encode()


def _no_prompt(stream: Stream, silent: bool, seconds: float) -> ConsoleTimeout:
    if silent:
        return ConsoleTimeout(
            f"not a byte came from the board within {seconds:.0f} s",
            hint="is it powered, the cable on the right pins, console= on its command line?",
        )
    return ConsoleTimeout(
        f"no shell prompt came on the console within {seconds:.0f} s",
        tail=stream.tail,
        hint="the last lines show how far the board came; is its baudrate the profile's?",
    )
