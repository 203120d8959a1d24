"""A listening socket: what comes in, from whom, and to which of our addresses (RFC 1123)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from rootfs_tool.tftpd.link import IP_PKTINFO, Address, Ancillary, fragment

LARGEST = 65535
RECEIVE_BUFFER = 4 << 20  # bytes: a whole lab is switched on at once
_V4 = struct.Struct("@i4s4s")  # in_pktinfo: interface, ours, as it was on the packet
_NOT_ASKED = bytes(4)  # of what came before the option was set, as to a socket of systemd's
_V6 = struct.Struct("@16sI")  # in6_pktinfo: address, interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """``here`` is our address that ``peer`` wrote to; with ``reply`` an answer comes from it."""

    packet: bytes
    peer: Address
    here: Address
    reply: Ancillary


class Door:
    """Owns none of the socket's life: who opened it closes it."""

    def __init__(self, listening: socket.socket) -> None:
        self.socket = listening
        self._six = listening.family == socket.AF_INET6
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if self._six:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            listening.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        fragment(listening)

    def receive(self) -> Arrival | None:
        """The next datagram; None for one that was meant for everybody. Raises BlockingIOError."""
        got, ancillary, _, peer = self.socket.recvmsg(LARGEST, socket.CMSG_SPACE(_V6.size))
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                _, ours, written = _V4.unpack(data)
                if ours == _NOT_ASKED:
                    ours = written
                if ours != written:
                    return None
                reply = _V4.pack(0, ours, bytes(4))
                here: Address = (socket.inet_ntop(socket.AF_INET, ours), 0)
                return Arrival(packet=got, peer=peer, here=here, reply=[(level, kind, reply)])
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                ours, interface = _V6.unpack(data)
                if ours[0] == 0xFF:
                    return None
                scope = interface if ours[:2] == b"\xfe\x80" else 0
                here = (socket.inet_ntop(socket.AF_INET6, ours), 0, 0, scope)
                reply = _V6.pack(ours, scope)
                return Arrival(packet=got, peer=peer, here=here, reply=[(level, kind, reply)])
        address = self.socket.getsockname()
        here = (address[0], 0, *address[2:])
        return Arrival(packet=got, peer=peer, here=here, reply=[])

    def answer(self, arrival: Arrival, packet: bytes) -> None:
        """Send once, from where it was asked; what gets lost is asked for again."""
        try:
            self.socket.sendmsg([packet], arrival.reply, socket.MSG_DONTWAIT, arrival.peer)
        except (OSError, OverflowError):
            return


def host(peer: Address) -> str:
    """The address as a person knows it: IPv4 also where it came to an IPv6 socket."""
    return peer[0].removeprefix("::ffff:")


def text(peer: Address) -> str:
    name = host(peer)
    return f"[{name}]:{peer[1]}" if ":" in name else f"{name}:{peer[1]}"
