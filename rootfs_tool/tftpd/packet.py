"""The packets of TFTP: requests taken apart, answers put together (RFC 1350, RFC 2347)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

from rootfs_tool.tftpd.base import Code, Refused

RRQ, WRQ, DATA, ACK, ERROR, OACK = (struct.pack("!H", opcode) for opcode in range(1, 7))

LONGEST_REQUEST = 2048  # bytes; RFC 2347 has 512, and boot loaders with long paths are longer
LONGEST_NUMBER = 20  # digits, enough for 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A read or write request; option names are in lower case, each there once."""

    write: bool
    name: bytes
    netascii: bool
    options: tuple[tuple[bytes, bytes], ...] = ()


def request(packet: bytes) -> Request:
    """Take an RRQ or WRQ apart. Raises Refused when it is none that we can serve.

    What stands behind the mode and is not a whole option is passed over, as RFC 2347 asks.
    """
    if packet[:2] not in (RRQ, WRQ):
        raise Refused(Code.ILLEGAL_OPERATION, "illegal TFTP operation")
    if len(packet) > LONGEST_REQUEST:
        raise Refused(Code.ILLEGAL_OPERATION, "request too long")
    name, *fields = packet[2:].split(b"\0")[:-1] or [b""]
    if not fields:
        raise Refused(Code.ILLEGAL_OPERATION, "malformed request")
    mode = fields[0].lower()
    if mode not in (b"octet", b"netascii"):
        raise Refused(Code.ILLEGAL_OPERATION, "only the modes octet and netascii are known here")
    options: dict[bytes, bytes] = {}
    for key, value in zip(fields[1::2], fields[2::2], strict=False):
        options.setdefault(key.lower(), value)
    return Request(
        write=packet[:2] == WRQ,
        name=name,
        netascii=mode == b"netascii",
        options=tuple(options.items()),
    )


def number(text: bytes) -> int | None:
    """The value of an option, or None where it is not a plain decimal number."""
    return int(text) if text.isdigit() and len(text) <= LONGEST_NUMBER else None


def wire(block: int, rollover: int) -> int:
    """The number that a block has on the wire; blocks count from 1, and 0 is the OACK's.

    After 65535 comes ``rollover``: 0, as nearly every client has it, or 1.
    """
    return (block - 1) % 65535 + 1 if rollover and block else block & 0xFFFF


def ahead(got: int, block: int, rollover: int) -> int:
    """How many blocks after ``block`` the one is that has the number ``got``; 0 is itself."""
    if not rollover:
        return (got - block) & 0xFFFF
    if not got:
        return -1 if block else 0
    return (got - wire(block, rollover)) % 65535


def headers(block: int, count: int, rollover: int) -> list[bytes]:
    """What stands before the bytes of ``count`` blocks, of which ``block`` is the first."""
    first, table = wire(block, rollover), _headers()
    if first + count <= len(table):
        return table[first : first + count]
    return [table[wire(block + place, rollover)] for place in range(count)]


@cache
def _headers() -> list[bytes]:
    """All of them, 3 MB: made one by one they would be the most work of a fast transfer."""
    return [struct.pack("!HH", 3, number) for number in range(1 << 16)]


def ack(block: int, rollover: int) -> bytes:
    return ACK + wire(block, rollover).to_bytes(2, "big")


def error(code: int, text: str) -> bytes:
    return ERROR + struct.pack("!H", code) + text.encode("ascii", "replace") + b"\0"


def oack(options: list[tuple[bytes, int]]) -> bytes:
    return OACK + b"".join(b"%b\0%d\0" % option for option in options)
