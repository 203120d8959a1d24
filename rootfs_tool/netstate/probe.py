"""Is somebody at an address, and who? ICMP echo and ARP, asked from this host."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import closing, suppress
from ipaddress import IPv4Address

_ECHO, _REPLY = 8, 0  # RFC 792
_ARP = 0x0806  # the Ethernet type, and what follows it: RFC 826
_REQUEST, _ANSWER = 1, 2
_ETHERNET = 1
_EVERYBODY = b"\xff" * 6
_ARP_WAIT = 0.3  # seconds; on one cable an answer takes well under one of its tenths


def ping(address: IPv4Address, seconds: float = 1.0) -> float | None:
    """Seconds until ``address`` answered, None if it did not.

    Raises PermissionError where this user may not ask: icmp(7), ping_group_range. Other OSErrors
    are the kernel's word on the way there.
    """
    with closing(_icmp()) as asking:
        raw = asking.type == socket.SOCK_RAW
        mark = os.urandom(16)
        begun = time.monotonic()
        asking.sendto(_echo(mark), (str(address), 0))
        while (left := begun + seconds - time.monotonic()) > 0:
            asking.settimeout(left)
            with suppress(TimeoutError):
                said, (by, _) = asking.recvfrom(4096)
                message = said[(said[0] & 15) * 4 :] if raw else said
                if message[:1] == bytes([_REPLY]) and by == str(address) and mark in message:
                    return time.monotonic() - begun
    return None


def _icmp() -> socket.socket:
    """A ping socket, for which no privilege is needed in most places; else a raw one."""
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    except PermissionError:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def _echo(data: bytes) -> bytes:
    def packet(checksum: int) -> bytes:
        return struct.pack("!BBHHH", _ECHO, 0, checksum, os.getpid() & 0xFFFF, 1) + data

    return packet(_checksum(packet(0)))


def _checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def who_has(address: IPv4Address, interface: str, ours: IPv4Address) -> tuple[str, ...]:
    """The MACs of all who say within 0.3 s that they are ``address``: more than one are too many.

    Raises PermissionError where this user may not ask (packet(7)), and OSError if ``interface`` is
    none to ask on.
    """
    found: dict[str, None] = {}
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ARP))) as asking:
        asking.bind((interface, _ARP))
        mac = asking.getsockname()[4]
        asking.sendto(_question(address, mac, ours), (interface, _ARP, 0, 0, _EVERYBODY))
        end = time.monotonic() + _ARP_WAIT
        while (left := end - time.monotonic()) > 0:
            asking.settimeout(left)
            with suppress(TimeoutError):
                if mac_of := _answer(asking.recv(64), address):
                    found[mac_of] = None
    return tuple(found)


def _question(address: IPv4Address, mac: bytes, ours: IPv4Address) -> bytes:
    head = struct.pack("!HHBBH", _ETHERNET, 0x0800, 6, 4, _REQUEST)
    return head + mac + ours.packed + bytes(6) + address.packed


def _answer(packet: bytes, address: IPv4Address) -> str | None:
    """The MAC of the sender, if ``address`` is the sender's."""
    if len(packet) < 28 or packet[6:8] != _ANSWER.to_bytes(2, "big"):
        return None
    return packet[8:14].hex(":") if packet[14:18] == address.packed else None
