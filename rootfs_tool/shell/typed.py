"""Lines typed at a shell's prompt, each seen in its echo before return is pressed."""

from __future__ import annotations

import re
import time

from rootfs_tool.shell import kernellog
from rootfs_tool.shell.sights import PROMPTS, QUIET, screen, sight
from rootfs_tool.shell.wire import Wire

_PIECE = 24  # characters of what is typed in one line, where a long one would not arrive whole
_TRIES = 12  # times that such a line is typed
_ECHO = 0.05  # seconds after which no more of an echo comes; more each time, to _LONGEST_REST
_LONGEST_REST = 0.4
_LONGEST_ECHO = 2.0  # seconds, where kernel messages never cease
_LONGEST_ANSWER = 5.0  # seconds in which a busy board runs a line
# By a line editor: at the terminal's edge it writes a character and takes it back.
_DRAWN = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|[^\x08]\x08|[\r\n\x07\x08]")


def whole(wire: Wire, line: str, *, tries: int = 1, end: bytes = b"\r") -> bool:
    """Type ``line`` until its echo shows that it arrived, and then ``end``; False if it never did.

    Where nothing is echoed, nothing can be told: what it runs has to look at its own length.
    """
    wanted = _DRAWN.sub(b"", line.encode())
    rest = _ECHO if tries > 1 else _LONGEST_REST
    for _ in range(tries):
        wire.forget()
        wire.write(line.encode())
        now = begun = time.monotonic()
        while now - begun < _LONGEST_ECHO and (
            wire.receive(rest + wire.seconds(len(line))) or (tries == 1 and _goes_on(wire, wanted))
        ):
            if _shown(wire).endswith(wanted):
                break
            now = time.monotonic()
        if not (shown := _shown(wire)) or shown.endswith(wanted):
            wire.write(end)
            wire.pace.arrived()
            return True
        wire.pace.damaged()
        wire.write(b"\x03")
        while now - begun < 2 * _LONGEST_ECHO and wire.receive(rest):
            now = time.monotonic()
        rest = min(_LONGEST_REST, 1.3 * rest)
    return False


def in_pieces(wire: Wire, program: str) -> bool:
    """Type ``program`` in short lines, each of which may be typed again, and run it.

    It holds no single quote. False when it did not arrive.
    """
    parts = [program[start : start + _PIECE] for start in range(0, len(program), _PIECE)]
    names = [f"r{number}" for number in range(len(parts))]
    together = "".join(f"${name}" for name in names)
    return (
        all(
            whole(wire, f" {name}='{part}'", tries=_TRIES)
            for name, part in zip(names, parts, strict=True)
        )
        and whole(wire, f" r={together}", tries=_TRIES)
        and whole(wire, f' [ ${{#r}} = {len(program)} ]&&eval "$r"', tries=_TRIES)
    )


def answered(wire: Wire, mark: bytes, deadline: float) -> bool:
    """Whether what was typed says ``mark``, by ``deadline``, a time.monotonic()."""
    limit = min(deadline, time.monotonic() + _LONGEST_ANSWER)
    while b"\x1e" + mark not in kernellog.strip(bytes(wire.stream.held))[0]:
        if time.monotonic() >= limit:
            return False
        if not wire.receive(QUIET) and sight(screen(wire.stream)) in PROMPTS:
            return False
    return True


def _goes_on(wire: Wire, wanted: bytes) -> bool:
    """Whether it is right so far: a board that is busy may only be late with the rest."""
    shown = _shown(wire)
    return shown != b"" and wanted.startswith(shown)


def _shown(wire: Wire) -> bytes:
    return _DRAWN.sub(b"", kernellog.strip(bytes(wire.stream.held))[0])
