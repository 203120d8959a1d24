"""A line at the wrong rate: how its bytes look, and which rate makes them words."""

from __future__ import annotations

import re
import time

from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConsoleClosed, ConsoleError

# The likely ones first: most boards' kernels, Rockchip's, then what people choose.
RATES = (115200, 1500000, 921600, 9600, 57600, 38400, 460800, 230400, 19200, 1000000, 500000)

_ENOUGH = 24  # bytes: a line or two
_FEW = 4  # bytes of which not one is legible: of a much slower board there come but zeros
_LEGIBLE = re.compile(
    rb"(?:[\t\n\r\x07\x08\x1b\x1e -~]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}"
    rb"|[\xf0-\xf4][\x80-\xbf]{3})+"
)
_RECENT = 4096  # bytes that are looked at: a boot's, not those of what ran before it
_WORDS = 40  # legible bytes in a row, that no wrong rate makes
_SHARE = 0.9  # of the bytes of a text with some noise in it

# No other rate makes Ctrl-C, Ctrl-D, Ctrl-Z or Ctrl-\ of a line feed, as it does of other keys.
_NUDGE = b"\n"
_SILENT = 0.15  # seconds in which a board that is talking says something
_ANSWER = 0.25  # seconds in which one that is listening answers
_TALKS = 1.0  # seconds for enough of what it says
_NUDGES = 4  # the first may end a line that is full of what other rates made of it
_PAUSE = 0.05  # seconds
_SURE = 2  # clean answers in a row


def garbled(data: bytes) -> bool:
    """Whether ``data`` is what a UART makes of a line at another rate.

    False while there is too little to tell, and for bytes that are no text where words among them
    are (a program's binary output, between marks that we can read).
    """
    if len(data) < _ENOUGH:
        return len(data) >= _FEW and _LEGIBLE.search(data) is None
    return not _is_text(data[-_RECENT:])


def _is_text(data: bytes) -> bool:
    runs = [len(run) for run in _LEGIBLE.findall(data)]
    return sum(runs) >= _SHARE * len(data) or max(runs, default=0) >= _WORDS


def search(console: Console, configured: int, deadline: float) -> int | None:
    """The rate at which the board's bytes are text, now set; None when there is none in RATES.

    A board that says nothing is sent a line feed at each rate. Then, or at ``deadline`` (a
    time.monotonic()), the rate is ``configured`` again. Raises ConsoleClosed.
    """
    found = None
    try:
        for rate in RATES:
            if rate == configured or time.monotonic() > deadline:
                continue
            if _set(console, rate) and _speaks(console):
                found = rate
                break
    finally:
        if found is None:
            _set(console, configured)
    return found


def _set(console: Console, rate: int) -> bool:
    """Go on at ``rate``, if this port knows it."""
    try:
        return console.set_baudrate(rate)
    except ConsoleClosed:
        raise
    except ConsoleError:
        return False


def _speaks(console: Console) -> bool:
    """Whether what the board says of itself, or answers, is text."""
    console.read(0)  # came before the rate was changed
    said = _heard(console, _SILENT)
    if said and len(said := said + _heard(console, _TALKS, 2 * _ENOUGH)) >= _ENOUGH:
        return not garbled(said)
    clean = 0
    for _ in range(_NUDGES):
        console.write(_NUDGE)
        answer = _heard(console, _ANSWER)
        if not answer:
            return False
        legible = b"\r\n" in answer and _LEGIBLE.fullmatch(answer) is not None
        clean = clean + 1 if legible else 0
        if clean == _SURE:
            return True
    return False


def _heard(console: Console, seconds: float, enough: int = 1) -> bytes:
    """What comes until it is ``enough`` bytes and a moment is silent, or ``seconds`` are over."""
    said = b""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        data = console.read(min(left, _PAUSE) if len(said) >= enough else left)
        if not data and len(said) >= enough:
            break
        said += data
    return said
