"""Text as it is on the wire: lines end in CR LF, and a CR of its own is CR NUL (RFC 764)."""

from __future__ import annotations


def encode(data: bytes) -> bytes:
    """Text of this host, as it goes to the wire; any piece of it is right by itself."""
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


class Decoder:
    """Text from the wire, piece by piece: a CR may be the last byte of one."""

    def __init__(self) -> None:
        self._kept = b""

    def decode(self, data: bytes, *, last: bool = False) -> bytes:
        data = self._kept + data
        self._kept = b"\r" if data.endswith(b"\r") and not last else b""
        data = data[: len(data) - len(self._kept)]
        return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")
