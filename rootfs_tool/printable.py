"""Text of unknown origin, such as a name in an image, as it may go to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with all escaped that would steer a terminal, or is no character at all."""
    return "".join(one if one.isprintable() else _escaped(ord(one)) for one in text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"
