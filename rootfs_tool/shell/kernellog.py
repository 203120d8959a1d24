"""Kernel messages in the middle of something else: told apart by their time and line end."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A serial console's driver ends its lines with CR LF; what programs write has only LF here.
_MESSAGE = re.compile(rb"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? [^\r\n]*\r\n")
HALF = re.compile(rb"\[ *\d+\.\d[^\r\n]*\r?\Z")
"""A message whose end has not come."""
_AT = re.compile(r"\[ *(\d+\.\d+)\]")


def strip(data: bytes) -> tuple[bytes, list[bytes]]:
    """``data`` without what looks like kernel messages, and these without their line ends."""
    messages = [message.rstrip() for message in _MESSAGE.findall(data)]
    return _MESSAGE.sub(b"", data), messages


def merged(came: Iterable[str], kept: Iterable[str], since: float) -> tuple[str, ...]:
    """Messages that ``came`` over the line and the newer ones that the board ``kept``, by time.

    ``since`` is in seconds of the board's uptime. What has no time stays where it is.
    """
    newer = [line for line in kept if (found := _AT.match(line)) and float(found[1]) >= since]
    lines = dict.fromkeys([*came, *newer])
    last = 0.0
    timed: list[tuple[float, str]] = []
    for line in lines:
        found = _AT.match(line)
        last = float(found[1]) if found else last
        timed.append((last, line))
    return tuple(line for _, line in sorted(timed, key=lambda one: one[0]))
