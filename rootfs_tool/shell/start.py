"""The agent's way onto the board: one short line typed at the prompt, then the agent itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib import resources
from typing import TypeVar

from rootfs_tool.shell import kernellog
from rootfs_tool.shell.login import QUIET, screen, sight
from rootfs_tool.shell.wire import Answer, Wire

T = TypeVar("T")

LONGEST_TYPED = 1023  # characters: BusyBox ash's line editor drops the rest, and runs what is left
LONGEST_LINE = 4095  # characters that a terminal holds of one line; the rest is lost unseen
_SMALLEST = 100  # characters of the agent in one line, on a line that loses bytes
_SECONDS = 5.0  # in which a shell starts and says so, on a busy emulator too
_NUDGE = 0.5  # seconds after which we press return once more: it makes the board repeat itself
_READY = re.compile(rb"\x1eS(\d+)\n")

# Runs in a shell of its own with job control: bash has that only where its stderr is a terminal at
# first. Asks for the agent with a byte that an echo cannot hold and what it has of it; takes the
# line that comes when it begins with that number and its own length, and asks again.
_LOADER = (
    "exec 2>/dev/null;mark={mark};settings=$(stty -g);"
    'trap "stty $settings" 0;trap exit INT;stty -echo -opost -ixon -tostop icanon icrnl;a=;'
    'while printf "\\036S${{#a}}\\n";[ ${{#a}} -lt {length} ];do b=$(dd bs=4096 count=1);'
    '[ "${{b%%:*}}" = "${{#a}},${{#b}}" ]&&a=$a${{b#*:}};done;eval "$(printf %b "$a")"'
)

# Where the prompt's shell has no job control there is no controlling terminal either.
_TYPED = (
    " rt='{loader}';[ ${{#rt}} = {length} ]&&case $- in *m*)sh -mc \"$rt\";;"
    '*)setsid -c sh -mc "$rt"||sh -mc "$rt";;esac'
)


def agent() -> str:
    """The agent as one line: without comments, blank lines and indentation, and encoded."""
    source = resources.files("rootfs_tool.shell").joinpath("agent.sh").read_text()
    lines = (line.partition(" # ")[0].strip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    line = text.replace("\\", "\\\\").replace("\n", "\\n")
    assert len(line) <= LONGEST_LINE, len(line)
    return line


def first_line(mark: str, length: int) -> str:
    """What is typed at the prompt. ``length`` is that of the agent."""
    loader = _LOADER.format(mark=mark, length=length)
    return _TYPED.format(loader=loader, length=len(loader))


def start(wire: Wire, deadline: float) -> Answer | None:
    """Start the agent at a prompt; its first answer, or None when that was not a prompt."""
    text = agent()
    wire.forget()
    wire.write(f"{first_line(wire.mark, len(text))}\r".encode())
    sent, size = -1, len(text)
    while (there := _came(wire, deadline, lambda: _asked(wire))) != str(len(text)):
        if there is None:
            return None
        wire.forget()
        if (offset := int(there)) == sent:  # it lost some of that
            size = max(_SMALLEST, size // 4)
        sent = offset
        wire.write(f"{_line(offset, text[offset : offset + size])}\n".encode())
    wire.stream.suspicion = None  # the boot is over: what a kernel says from here on is news
    return _came(wire, deadline, lambda: wire.wait(0, QUIET))


def _asked(wire: Wire) -> str | None:
    """How much of the agent the board says it has."""
    found = _READY.findall(kernellog.strip(bytes(wire.stream.held))[0])
    return found[-1].decode() if found else None


def _line(offset: int, piece: str) -> str:
    length = 0
    while length != len(line := f"{offset},{length}:{piece}"):
        length = len(line)
    return line


def _came(wire: Wire, deadline: float, look: Callable[[], T | None]) -> T | None:
    """What ``look`` finds; None when a prompt is there instead, or nothing comes."""
    now = time.monotonic()
    until, nudge = min(deadline, now + _SECONDS), now + _NUDGE
    while now < until:
        if found := look():
            return found
        if not wire.receive(QUIET) and sight(screen(wire.stream)) in ("prompt", "more"):
            return None
        now = time.monotonic()
        if now >= nudge:
            nudge += _NUDGE
            wire.write(b"\r")
    return None
