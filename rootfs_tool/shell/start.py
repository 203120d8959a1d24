"""The agent's way onto the board: a short line typed at the prompt, then the agent itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib import resources

from rootfs_tool.shell import digest, kernellog
from rootfs_tool.shell.sights import QUIET, State, screen, sight
from rootfs_tool.shell.wire import Answer, Wire

_PROMPTS = (State.SHELL, State.CONTINUATION)

LONGEST_TYPED = 1023  # characters: BusyBox ash's line editor drops the rest, and runs what is left
LONGEST_LINE = 4095  # characters that a terminal holds of one line; the rest is lost unseen
_PIECE = 24  # characters of what is typed in one line, where the whole did not arrive
_NAMES = 6  # variables that one such line puts together
_TRIES = 12  # times that such a line is typed
_ECHO = 0.05  # seconds after which no more of an echo comes; more each time, to _LONGEST_REST
_LONGEST_REST = 0.4
_LONGEST_ECHO = 2.0  # seconds, where kernel messages never cease
_PART = 3900  # characters of the agent in one line
_SMALLEST = 60  # on a line that loses bytes
_SECONDS = 5.0  # in which a shell starts and says so, on a busy emulator too
_NUDGE = 0.2  # seconds after which we press return once more: it makes the board repeat itself
_FIRST_NUDGE = 0.7  # the first time: a shell has to start
_READY = re.compile(rb"\x1eS(\d+)\n")
_DRAWN = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|[\s\x07\x08]")  # by a line editor

# Runs in a shell of its own with job control: bash has that only where its stderr is a terminal at
# first. Asks for the agent with a byte that an echo cannot hold and what it has of it; takes the
# line that comes when it begins with that number and its own length, or is twice such a line, and
# asks again. What is whole is run when its digest agrees, whichever program the board has for that.
_LOADER = (
    "exec 2>/dev/null;mark={mark};flow={flow};settings=$(stty -g);"
    'trap "stty $settings" 0;trap exit INT;stty -echo -opost $flow -tostop icanon icrnl;a=;'
    'while printf "\\036S${{#a}}\\n";do if [ ${{#a}} -ge {length} ];then '
    'case $(printf %s "$a"|{{ md5sum||cksum||crc32; }}) in {digests}"")break;esac;a=;continue;fi;'
    "b=$(dd bs=4096 count=1);c=${{b%%@*}};"
    'case $b in "${{#a}},${{#c}}:"*)case $b in "$c"|"$c@$c")a=$a${{c#*:}};esac;esac;done;'
    'eval "$(printf %b "$a")"'
)

# Where the prompt's shell has no job control there is no controlling terminal either.
_RUN = (
    '[ ${{#rt}} = {length} ]&&case $- in *m*)sh -mc "$rt";;'
    '*)setsid -c sh -mc "$rt"||sh -mc "$rt";;esac'
)


def agent() -> str:
    """The agent as one line: without comments, blank lines and indentation, and encoded."""
    source = resources.files("rootfs_tool.shell").joinpath("agent.sh").read_text()
    lines = (line.partition(" # ")[0].strip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def loader(mark: str, flow: str) -> str:
    """The program that takes the agent. ``flow`` is stty's word for the line's flow control."""
    text = agent()
    found = (digest.of(text.encode(), tool) for tool in ("md5sum", "cksum", "crc32"))
    digests = "".join(f"{one.partition('.')[0]}*|" for one in found)
    return _LOADER.format(mark=mark, flow=flow, length=len(text), digests=digests)


def start(wire: Wire, flow: str, deadline: float, *, piecewise: bool = False) -> Answer | None:
    """Start the agent at a prompt; its first answer, or None when that was not a prompt.

    ``piecewise`` types short lines, which arrive whole now and then where a long one never does.
    """
    text = agent()
    wire.forget()
    if not _type_in(wire, loader(wire.mark, flow), piecewise):
        return None
    sent, size, wary = -1, _PART, False
    while not isinstance(there := _came(wire, size, deadline, lambda: _answer(wire, text)), Answer):
        if there is None:
            return None
        wire.forget()
        if there == sent or there == 0 < sent:  # it lost some of that, or took in something else
            size, wary = max(_SMALLEST, size // 2), True
            wire.pace.damaged()
        elif sent >= 0:
            size = min(_PART, size + size // 2)
            wire.pace.arrived()
        sent = there
        line = _line(there, text[there : there + (size // 2 if wary else size)])
        wire.write(f"{line}@{line}\n".encode() if wary else f"{line}\n".encode())
    wire.stream.boot_is_over()
    wire.copies = 3 if wary else 2
    return there


def _type_in(wire: Wire, program: str, piecewise: bool) -> bool:
    """Type a line that runs ``program``; False when it did not reach the line editor as it is."""
    run = _RUN.format(length=len(program))
    if not piecewise:
        return _typed(wire, f" rt='{program}';{run}", tries=1)
    return (
        _put_together(wire, "rt", program)
        and _put_together(wire, "rs", run)
        and _typed(wire, ' eval "$rs"', tries=_TRIES)
    )


def _put_together(wire: Wire, name: str, value: str) -> bool:
    """Give a variable its value by short lines, each of which may be typed again."""
    parts = [value[start : start + _PIECE] for start in range(0, len(value), _PIECE)]
    values = [f"'{part}'" for part in parts]
    level = 0
    while len(values) > 1 or level == 0:
        names = [f"{name}{level}{number}" for number in range(len(values))]
        if not all(
            _typed(wire, f" {one}={value}", _TRIES)
            for one, value in zip(names, values, strict=True)
        ):
            return False
        values = [
            "".join(f"${{{one}}}" for one in names[start : start + _NAMES])
            for start in range(0, len(names), _NAMES)
        ]
        level += 1
    return _typed(wire, f" {name}={values[0]}", _TRIES)


def _typed(wire: Wire, line: str, tries: int) -> bool:
    """Type ``line`` until its echo shows that it arrived, and press return.

    Where nothing is echoed, nothing can be told: the length of the program has to do then.
    """
    wanted = _DRAWN.sub(b"", line.encode())
    rest = _ECHO if tries > 1 else _LONGEST_REST
    for _ in range(tries):
        wire.forget()
        wire.write(line.encode())
        now = begun = time.monotonic()
        while now - begun < _LONGEST_ECHO and wire.receive(rest + wire.seconds(len(line))):
            if _shown(wire).endswith(wanted):
                break
            now = time.monotonic()
        if not (shown := _shown(wire)) or shown.endswith(wanted):
            wire.write(b"\r")
            wire.pace.arrived()
            return True
        wire.pace.damaged()
        wire.write(b"\x03")
        while now - begun < 2 * _LONGEST_ECHO and wire.receive(rest):
            now = time.monotonic()
        rest = min(_LONGEST_REST, 1.3 * rest)
    return False


def _shown(wire: Wire) -> bytes:
    return _DRAWN.sub(b"", kernellog.strip(bytes(wire.stream.held))[0])


def _answer(wire: Wire, text: str) -> Answer | int | None:
    """The agent's first answer, or how much of its ``text`` the board says it has."""
    found = _READY.findall(kernellog.strip(bytes(wire.stream.held))[0])
    if found and int(found[-1]) < len(text):
        return int(found[-1])
    wire.damaged = False  # its first answer comes unasked
    return wire.wait(0, QUIET if found else 0)


def _line(offset: int, piece: str) -> str:
    length = 0
    while length != len(line := f"{offset},{length}:{piece}"):
        length = len(line)
    return line


def _came(
    wire: Wire, size: int, deadline: float, look: Callable[[], Answer | int | None]
) -> Answer | int | None:
    """What ``look`` finds; None when a prompt is there instead, or nothing comes.

    ``size`` is how much may be under way to the board.
    """
    now = time.monotonic()
    until, pause = min(deadline, now + _SECONDS), max(_NUDGE, 3 * wire.seconds(size))
    nudge = now + (_FIRST_NUDGE if size == _PART else pause)
    while now < until:
        if (found := look()) is not None:
            return found
        if not wire.receive(QUIET) and sight(screen(wire.stream)) in _PROMPTS:
            return None
        now = time.monotonic()
        if now >= nudge:
            nudge = now + pause
            wire.write(b"\r")
    return None
