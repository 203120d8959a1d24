"""Is this what the board's file held? The digests that BusyBox can make."""

from __future__ import annotations

import hashlib

_POLYNOMIAL = 0x04C11DB7  # of POSIX cksum


def agrees(data: bytes, digest: str) -> bool:
    """Whether ``digest`` is that of ``data``: "HEX.-" of md5sum, "CRC.SIZE" of cksum."""
    if digest == "-":
        return not data
    value, _, size = digest.partition(".")
    if size == "-":
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == value
    return size == str(len(data)) and value == str(cksum(data))


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
