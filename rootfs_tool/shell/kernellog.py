"""Kernel messages in the middle of something else: told apart by their time and line end."""

from __future__ import annotations

import re

# A serial console's driver ends its lines with CR LF; what programs write has only LF here.
_MESSAGE = re.compile(rb"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? [^\r\n]*\r\n")


def strip(data: bytes) -> tuple[bytes, list[bytes]]:
    """``data`` without what looks like kernel messages, and these without their line ends."""
    messages = [message.rstrip() for message in _MESSAGE.findall(data)]
    return _MESSAGE.sub(b"", data), messages
