"""rootfs-tool reset: start a board anew, and see on its console that it did."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.tail import last_lines
from rootfs_tool.errors import ConsoleClosed, ConsoleError
from rootfs_tool.events import note, step
from rootfs_tool.shell import Shell
from rootfs_tool.shell.incident import Watcher
from rootfs_tool.shell.login import Allowed
from rootfs_tool.shell.sights import State, classify, settled
from rootfs_tool.shell.stream import Stream
from rootfs_tool.targets.power import Power


class Way(StrEnum):
    POWER = "power"
    SYSRQ = "sysrq"
    REBOOT = "reboot"


IN_WORDS = {
    Way.POWER: "a power cycle",
    Way.SYSRQ: "SysRq over a break",
    Way.REBOOT: "a command at its prompt",
}
# Seconds until there has to be a sign of it: a PoE port takes its time, and so do the scripts that
# stop what runs.
DEADLINES = {Way.POWER: 60.0, Way.SYSRQ: 10.0, Way.REBOOT: 60.0}

_CLASSIFY = 5.0  # seconds in which a console shows what it is at
_LOGIN = 20.0  # seconds until there has to be a shell to type `reboot` in
_PROMPT = 1.0  # seconds until it shows its prompt again
_WRITTEN = 3.0  # seconds that a card may take for what SysRq has it write
_HINTS = {
    Way.POWER: "do the power commands switch this board's port, and is this its console?",
    Way.SYSRQ: "the board's /proc/sys/kernel/sysrq may forbid it: 1 allows all; or --reboot",
    Way.REBOOT: "has the board got a reboot command, and an init that hears it? or --sysrq",
}

_REFUSED = re.compile(
    rb"sysrq: (?:SysRq : )?This sysrq operation is disabled"
    rb"|reboot: [^\r\n]*(?:not found|denied|not permitted|must be)[^\r\n]*"
)
# A whole line, for a supply that goes makes noise; a kernel that runs on does not count.
_FIRST_WORDS = re.compile(rb"^(?!\[ *\d+\.\d{6}\])[^\r\n]*[!-~]{3}[^\r\n]*(?=[\r\n])", re.MULTILINE)
# What SysRq is asked for before the end, and what the kernel says when that is done
# (Documentation/admin-guide/sysrq.rst, drivers/tty/sysrq.c, fs/sync.c, fs/super.c).
_GENTLY = {
    b"s": re.compile(rb"Emergency Sync complete"),
    b"u": re.compile(rb"Emergency Remount complete"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """How a board was started anew, and the words of its console that show it."""

    way: Way
    said: str
    seconds: float


def reset(
    console: Console,
    line: Line,
    *,
    power: Power | None = None,
    way: Way | None = None,
    timeout: float | None = None,
    allowed: Allowed | None = None,
) -> Restarted:
    """Start the board anew, by ``way``, or else by power if there is, by SysRq, by `reboot`.

    ``way`` may be Way.POWER only where there is ``power``; ``timeout`` is in seconds, for the first
    sign of it, in the place of DEADLINES; ``allowed`` is as in `Shell.attach`.

    Raises ConsoleError when its console shows no sign of that, and what `Power.restart` raises.
    """
    begun = time.monotonic()
    ways = _ways(power) if way is None else (way,)
    for one in ways:
        try:
            with step(f"restart by {IN_WORDS[one]}"):
                _begin(console, line, power, one, allowed)
                said = _sign(console, one, DEADLINES[one] if timeout is None else timeout)
        except ConsoleClosed:
            raise
        except ConsoleError as error:
            if one is ways[-1]:
                raise
            note(str(error))
        else:
            return Restarted(way=one, said=said, seconds=time.monotonic() - begun)
    raise AssertionError(ways)


def _ways(power: Power | None) -> Sequence[Way]:
    return (Way.POWER,) if power else (Way.SYSRQ, Way.REBOOT)


def _begin(
    console: Console, line: Line, power: Power | None, way: Way, allowed: Allowed | None
) -> None:
    match way:
        case Way.POWER:
            assert power is not None
            power.restart()
        case Way.SYSRQ:
            for letter, done in _GENTLY.items():
                _send_sysrq(console, letter)
                _await_written(console, done)
            _send_sysrq(console, b"b")
        case Way.REBOOT:
            if classify(Stream(console), time.monotonic() + _CLASSIFY) is State.U_BOOT:
                console.write(b"\x15reset\r")  # Ctrl-U, for a letter of SysRq's may stand there
            else:
                Shell.attach(console, line, timeout=_LOGIN, allowed=allowed).leave()
                settled(Stream(console), _PROMPT, time.monotonic() + _PROMPT)
                console.write(b"reboot\r")


def _send_sysrq(console: Console, letter: bytes) -> None:
    console.send_break()
    console.write(letter)


def _await_written(console: Console, done: re.Pattern[bytes]) -> None:
    """Wait a little for what SysRq has written. Raises ConsoleError when it takes no notice."""
    said = b""
    for data in _coming(console, _WRITTEN):
        said += data
        if done.search(said) or _REFUSED.search(said):
            return
    # A console on which a break works shows each SysRq, whatever it shows of other messages.
    if b"sysrq" not in said.lower():
        raise ConsoleError(
            "the board's kernel does not answer to SysRq over a break",
            tail=last_lines(said),
            hint=_HINTS[Way.SYSRQ],
        )


def _sign(console: Console, way: Way, timeout: float) -> str:
    """The words that show that the board starts anew."""
    watcher, said = Watcher(), b""
    why = f"no sign of it came within {timeout:g} s"
    for data in _coming(console, timeout):
        said += data
        if found := [one for one in watcher.feed(data) if one.kind in ("reboot", "reset")]:
            return found[0].line
        if way is Way.POWER and (words := _FIRST_WORDS.search(said)):
            return words[0].decode(errors="replace")
        if way is not Way.POWER and (refused := _REFUSED.search(said)):
            why = f"it said {refused[0].decode(errors='replace')!r}"
            break
    raise ConsoleError(
        f"the board did not restart by {IN_WORDS[way]}: {why}",
        tail=last_lines(said),
        hint=_HINTS[way],
    )


def _coming(console: Console, seconds: float) -> Iterator[bytes]:
    """What comes, as it does, for so long."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        yield console.read(left)
