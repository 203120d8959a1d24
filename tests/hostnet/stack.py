"""A TCP/IP stack in user space, of the size that one question and its answer need.

It owns an address on a TAP, answers ARP for it (RFC 826), finds its router's Ethernet address, and
speaks TCP over IPv4 (RFC 9293, RFC 791): one connection at a time, a window of a few segments, no
options but the largest segment's size; what is lost is sent again.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
_MAC = bytes.fromhex("020000000002")
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_TCP = 6
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_AGAIN = 0.2  # seconds until what nobody answers is sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    source: int
    to: int
    sequence: int
    acknowledged: int
    flags: int
    data: bytes = b""


@dataclass(slots=True)
class Stack:
    """``tap`` is an open TAP; ``address`` is ours there, ``router`` the way to all others."""

    tap: int
    address: str
    router: str
    peer: bytes = b""
    port: int = field(default_factory=lambda: random.randrange(20_000, 60_000))

    def fetch(self, host: str, port: int, question: bytes, *, seconds: float = 5) -> bytes:
        """All that a server answers until it closes. Raises TimeoutError, ConnectionError."""
        deadline = time.monotonic() + seconds
        self.port += 1
        self._find_router(deadline)
        talk = _Talk(self, host, port)
        talk.open(deadline)
        return talk.say(question, deadline)

    def send(self, kind: bytes, payload: bytes, to: bytes) -> None:
        os.write(self.tap, (to + _MAC + kind + payload).ljust(60, b"\0"))

    def receive(self, deadline: float) -> Segment | None:
        """The next segment for us; None after a while without one."""
        until = min(deadline, time.monotonic() + _AGAIN)
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.tap], [], [], left)[0]:
                break
            frame = os.read(self.tap, 65536)
            kind, rest = frame[12:14], frame[14:]
            if kind == _ARP:
                self._arp(rest)
            elif kind == _IPV4 and rest[9] == _TCP and rest[16:20] == _packed(self.address):
                return _segment(rest)
        if time.monotonic() >= deadline:
            raise TimeoutError(f"no answer on {self.address}")
        return None

    def _find_router(self, deadline: float) -> None:
        while not self.peer:
            asked = _packed(self.router)
            head = bytes.fromhex("0001080006040001")
            body = head + _MAC + _packed(self.address) + bytes(6) + asked
            self.send(_ARP, body, b"\xff" * 6)
            self.receive(deadline)

    def _arp(self, body: bytes) -> None:
        if body[6:8] == b"\0\2" and body[14:18] == _packed(self.router):
            self.peer = body[8:14]
        elif body[6:8] == b"\0\1" and body[24:28] == _packed(self.address):
            reply = body[:6] + b"\0\2" + _MAC + body[24:28] + body[8:18]
            self.send(_ARP, reply, body[8:14])


@dataclass(slots=True)
class _Talk:
    """One connection. ``ours`` is the next number that we send, ``theirs`` that we wait for."""

    stack: Stack
    host: str
    port: int
    ours: int = 1000
    theirs: int = 0

    def open(self, deadline: float) -> None:
        while True:
            self._send(_SYN, b"\x02\x04\x05\xb4")  # the largest segment is 1460 bytes
            answer = self._hear(deadline)
            if answer is None:
                continue
            if answer.flags & _RST:
                raise ConnectionRefusedError(f"{self.host} port {self.port}")
            if answer.flags & (_SYN | _ACK) == _SYN | _ACK:
                self.ours, self.theirs = self.ours + 1, answer.sequence + 1
                self._send(_ACK)
                return

    def say(self, question: bytes, deadline: float) -> bytes:
        """The whole answer: until the other side has said that it is."""
        said, heard, end = self.ours + len(question), b"", False
        self._send(_ACK, data=question)
        while not end:
            answer = self._hear(deadline)
            if answer is None:
                if self.ours != said:
                    self._send(_ACK, data=question)
                continue
            if answer.flags & _RST:
                raise ConnectionResetError(f"{self.host} port {self.port}")
            if answer.acknowledged == said:
                self.ours = said
            if answer.sequence == self.theirs:  # another order is heard again
                heard += answer.data
                end = bool(answer.flags & _FIN)
                self.theirs += len(answer.data) + end
            self._send(_ACK | (_FIN if end else 0))
        return heard

    def _hear(self, deadline: float) -> Segment | None:
        segment = self.stack.receive(deadline)
        if segment is None or (segment.source, segment.to) != (self.port, self.stack.port):
            return None
        return segment

    def _send(self, flags: int, options: bytes = b"", data: bytes = b"") -> None:
        sequence, length = self.ours, (20 + len(options)) // 4
        head = struct.pack(
            *("!HHIIBBHHH", self.stack.port, self.port, sequence, self.theirs),
            *(length << 4, flags, 8192, 0, 0),
        )
        ends = _packed(self.stack.address) + _packed(self.host)
        whole = head + options + data
        sum = _checksum(ends + struct.pack("!HH", _TCP, len(whole)) + whole)
        whole = whole[:16] + sum.to_bytes(2) + whole[18:]
        start = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(whole), 0, 0, 64, _TCP, 0)
        sum = _checksum(start + ends)
        self.stack.send(_IPV4, start[:10] + sum.to_bytes(2) + ends + whole, self.stack.peer)


def _segment(packet: bytes) -> Segment:
    body = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4])]
    source, to, sequence, acknowledged, offset, flags = struct.unpack("!HHIIBB", body[:14])
    return Segment(
        source=source,
        to=to,
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
        data=body[(offset >> 4) * 4 :],
    )


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def opened(tap: str) -> int:
    """A TAP of this thread's network, opened as QEMU does."""
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", tap.encode(), _IFF_TAP | _IFF_NO_PI))
    return handle


@contextmanager
def stack(tap: int, address: str, router: str) -> Iterator[Stack]:
    """A stack on an open TAP, which is closed after the block."""
    try:
        yield Stack(tap=tap, address=address, router=router)
    finally:
        os.close(tap)
