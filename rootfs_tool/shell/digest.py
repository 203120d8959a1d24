"""Is this what the board's file held? The digests that BusyBox can make."""

from __future__ import annotations

import hashlib
import zlib

NONE = "."  # of a board that has no program for it
_POLYNOMIAL = 0x04C11DB7  # of POSIX cksum


def of(data: bytes, tool: str) -> str:
    """The first two words that ``tool`` prints about ``data`` on its stdin, with a dot between.

    Half of an MD5 does: the shorter an answer, the more often it arrives whole.
    """
    match tool:
        case "md5sum":
            return hashlib.md5(data, usedforsecurity=False).hexdigest()[:16] + ".-"
        case "cksum":
            return f"{cksum(data)}.{len(data)}"
        case "crc32":
            return f"{zlib.crc32(data):08x}."
        case _:
            return NONE


def agrees(data: bytes, digest: str) -> bool:
    """Whether ``digest`` is that of ``data``, whichever tool made it; NONE is nobody's."""
    if digest == "-":
        return not data
    value, _, size = digest.partition(".")
    tool = "md5sum" if size == "-" else "cksum" if size else "crc32" if value else ""
    return bool(tool) and digest == of(data, tool)


def cksum(data: bytes) -> int:
    """The CRC that POSIX cksum prints."""
    crc = 0
    length = len(data)
    for byte in data + length.to_bytes((length.bit_length() + 7) // 8, "little"):
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc ^ 0xFFFFFFFF


def _entry(byte: int) -> int:
    crc = byte << 24
    for _ in range(8):
        crc = (crc << 1 ^ (_POLYNOMIAL if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


_TABLE = [_entry(byte) for byte in range(256)]
