"""The last lines that a board sent, for the error that ends a run."""

from __future__ import annotations

import re

LINES = 20
_KEPT = 16384  # bytes: twenty long lines
_DECORATION = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\n]*\x07|\n?\x1e[^\n]*\n?|\r")


class Tail:
    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        self._kept += data
        del self._kept[:-_KEPT]

    def raw(self) -> bytes:
        """The last 16 KiB as they came."""
        return bytes(self._kept)

    def text(self) -> str:
        """At most LINES lines, without colours and without rootfs-tool's own marks."""
        return last_lines(bytes(self._kept))


def last_lines(data: bytes) -> str:
    plain = _DECORATION.sub(b"", data).decode(errors="backslashreplace")
    return "\n".join([line for line in plain.split("\n") if line.strip()][-LINES:])
