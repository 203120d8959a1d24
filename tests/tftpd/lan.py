"""A network of two for QEMU, without root: a board, and this host, whose port 69 is a server's.

QEMU's own user network keeps port 69 of the host that it shows for itself, and a boot loader asks
no other. Here each Ethernet frame comes as a datagram (-netdev dgram): ARP is answered (RFC 826),
and UDP over IPv4 goes on from a socket of this host.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BOARD, HOST = "192.0.2.2", "192.0.2.1"  # RFC 5737: of nobody
TFTP = 69

_MAC = bytes.fromhex("020000000001")
_IPV4, _ARP = b"\x08\x00", b"\x08\x06"
_UDP = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Lan:
    """``netdev`` is what QEMU's -netdev needs to be told, without its id."""

    netdev: str


@contextmanager
def lan(server: tuple[str, int]) -> Iterator[Lan]:
    """A network that lasts as long as the block; port 69 of HOST is ``server``."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as cable,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug,
    ):
        for end in (cable, plug):
            end.bind(("127.0.0.1", 0))
        cable.setblocking(False)
        here, there = cable.getsockname()[1], plug.getsockname()[1]
        plug.close()  # QEMU takes its place
        cable.connect(("127.0.0.1", there))
        stop, bell = os.pipe()
        thread = threading.Thread(target=_Host(cable, server).run, args=(stop,))
        thread.start()
        ends = f"local.port={there},remote.port={here}"
        kinds = "local.type=inet,local.host=127.0.0.1,remote.type=inet,remote.host=127.0.0.1"
        try:
            yield Lan(netdev=f"dgram,{kinds},{ends}")
        finally:
            os.close(bell)
            thread.join()
            os.close(stop)


@dataclass(slots=True)
class _Host:
    """``outs`` are the sockets by the board's port; ``board`` is its Ethernet address."""

    cable: socket.socket
    server: tuple[str, int]
    board: bytes = b""
    outs: dict[int, socket.socket] = field(default_factory=dict)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self, stop: int) -> None:
        self.selector.register(self.cable, selectors.EVENT_READ, 0)
        self.selector.register(stop, selectors.EVENT_READ)
        try:
            while True:
                for key, _ in self.selector.select():
                    if key.data is None:
                        return
                    try:
                        self._frame() if key.data == 0 else self._answer(key.data)
                    except ConnectionError:
                        continue  # QEMU, or the transfer, has not begun or has ended
        finally:
            for out in self.outs.values():
                out.close()
            self.selector.close()

    def _frame(self) -> None:
        frame = self.cable.recv(65536)
        self.board, kind, rest = frame[6:12], frame[12:14], frame[14:]
        if kind == _ARP and rest[6:8] == b"\0\1" and rest[24:28] == socket.inet_aton(HOST):
            reply = rest[:6] + b"\0\2" + _MAC + rest[24:28] + rest[8:18]
            self._send(_ARP, reply)
        elif kind == _IPV4 and rest[9] == _UDP:
            datagram = rest[(rest[0] & 15) * 4 : int.from_bytes(rest[2:4])]
            source, port, length = struct.unpack("!HHH", datagram[:6])
            to = self.server if port == TFTP else (self.server[0], port)
            (self.outs.get(source) or self._out(source)).sendto(datagram[8:length], to)

    def _out(self, port: int) -> socket.socket:
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.bind((self.server[0], 0))
        self.outs[port] = out
        self.selector.register(out, selectors.EVENT_READ, port)
        return out

    def _answer(self, port: int) -> None:
        payload, (_, source) = self.outs[port].recvfrom(65536)
        source = TFTP if source == self.server[1] else source
        datagram = struct.pack("!HHHH", source, port, 8 + len(payload), 0) + payload
        addresses = socket.inet_aton(HOST) + socket.inet_aton(BOARD)
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, _UDP, 0)
        sum = _checksum(head + addresses)
        self._send(_IPV4, head[:10] + sum.to_bytes(2) + addresses + datagram)

    def _send(self, kind: bytes, payload: bytes) -> None:
        self.cable.send((self.board + _MAC + kind + payload).ljust(60, b"\0"))


def _checksum(head: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
