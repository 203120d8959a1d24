"""Commands as printable ASCII, which passes any terminal and counts the same in any locale."""

from __future__ import annotations


def encode(text: bytes) -> str:
    """``text`` for printf's %b to make bytes of; without a space at either end."""
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\0{byte:03o}" for byte in text
    )
    if shown.startswith(" "):
        shown = "\\0040" + shown[1:]
    return shown[:-1] + "\\0040" if shown.endswith(" ") else shown
