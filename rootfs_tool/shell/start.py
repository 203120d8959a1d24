"""The agent's way onto the board: one short line typed at the prompt, then the agent itself."""

from __future__ import annotations

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
_READY = b"\x1eS\n"
_SECONDS = 5.0  # in which a shell starts and says so, on a busy emulator too

# Ready is said with a byte that the echo of this line cannot hold. Where the prompt's shell has no
# job control it has no controlling terminal either, and the agent needs one for both. bash has job
# control only where its stderr is a terminal when it starts, so that
# goes to /dev/null a moment later.
_FIRST_LINE = (
    " rt=;case $- in *m*);;*)type setsid >/dev/null 2>&1&&rt='setsid -c';esac;$rt sh -mc '"
    'exec 2>/dev/null;mark={mark};settings=$(stty -g);trap "stty $settings" 0;trap exit INT;'
    "stty -echo -opost -ixon -tostop icanon icrnl;"
    'printf "\\036S\\n";a=$(dd bs=4096 count=1);'
    '[ ${{#a}} = {length} ]&&eval "$(printf %b "$a")"'
    "'"
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
    return _FIRST_LINE.format(mark=mark, length=length)


def start(wire: Wire, deadline: float) -> Answer | None:
    """Start the agent at a prompt; its first answer, or None when that was not a prompt."""
    text = agent()
    wire.forget()
    wire.write(f"{first_line(wire.mark, len(text))}\r".encode())
    if not _came(wire, deadline, lambda: _READY in kernellog.strip(wire.unread)[0] or None):
        return None
    wire.forget()
    wire.suspicion = None  # the boot is over: what a kernel says from here on is news
    wire.write(f"{text}\n".encode())
    return _came(wire, deadline, lambda: wire.wait(0, QUIET))


def _came(wire: Wire, deadline: float, look: Callable[[], T | None]) -> T | None:
    """What ``look`` finds; None when a prompt is there instead, or nothing comes."""
    until = min(deadline, time.monotonic() + _SECONDS)
    while time.monotonic() < until:
        if found := look():
            return found
        if not wire.receive(QUIET) and sight(screen(wire)) in ("prompt", "more"):
            return None
    return None
