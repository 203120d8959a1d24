"""How packets leave: from a socket of the transfer's own, or from the one that all share."""

from __future__ import annotations

import errno
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress

Address = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]

# linux/in.h, linux/in6.h and linux/udp.h; the socket module has no names for these.
IP_PKTINFO, IP_MTU_DISCOVER, IP_MTU = 8, 10, 14
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24
PMTUDISC_DONT = 0
UDP_SEGMENT = 103
SOL_UDP = socket.IPPROTO_UDP

HEADERS = {socket.AF_INET: 20 + 8 + 4, socket.AF_INET6: 40 + 8 + 4}  # bytes before a block's own
LEAST_MTU = 576  # RFC 791: what any host takes
# Longer than one answer takes on a local network, and the least that a kernel can wait.
BLOCKING = struct.pack("@ll", 0, 4000)
SEND_BUFFER = 1 << 20
SHARING = 16  # transfers on one port: few enough for the kernel to look through

# A datagram that could not go now is one that was lost: the timer brings it back.
PASSING = {
    errno.EAGAIN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.EMSGSIZE,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EPERM,
}
# What a kernel or a network card without segmentation says, and a path too narrow for it.
UNSEGMENTED = {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP}


def forgive(error: OSError) -> None:
    """Raise what a transfer cannot go on after, such as ECONNREFUSED: nobody is there any more."""
    if error.errno not in PASSING:
        raise error


def _carries(connected: socket.socket) -> int:
    six = connected.family == socket.AF_INET6
    level, name = (socket.IPPROTO_IPV6, IPV6_MTU) if six else (socket.IPPROTO_IP, IP_MTU)
    try:
        mtu = connected.getsockopt(level, name)
    except OSError:
        mtu = LEAST_MTU
    return mtu - HEADERS[socket.AddressFamily(connected.family)]


class Link(ABC):
    """One transfer's way to its peer; what is sent may raise OSError (see ``forgive``)."""

    send: Callable[[bytes], object]

    def deliver(self, packet: bytes) -> None:
        """Send one packet, or lose it."""
        try:
            self.send(packet)
        except OSError as error:
            forgive(error)

    @abstractmethod
    def burst(self, packets: memoryview, size: int) -> None:
        """Send packets of ``size`` bytes that stand in a row, of which the last may be shorter."""

    @abstractmethod
    def carries(self) -> int:
        """How many bytes of a block fit into one packet on the way to the peer."""

    @abstractmethod
    def port(self) -> int:
        """The port that we answer from."""

    @abstractmethod
    def close(self) -> None: ...


class OwnPort(Link):
    """A connected socket: the kernel looks up the route once, and tells of a peer that is gone."""

    def __init__(self, connected: socket.socket, close: Callable[[], None]) -> None:
        self.socket = connected
        self.send = connected.send
        self._close = close
        self._segment = 0

    def burst(self, packets: memoryview, size: int) -> None:
        send = self.socket.send
        if self._segment != size and self._segment >= 0:
            self._segment = self._cut(size)
        if self._segment == size:
            try:
                send(packets, socket.MSG_DONTWAIT)
                return
            except OSError as error:
                if error.errno not in UNSEGMENTED:
                    raise
                self._segment = min(self._cut(0), -1)
        for start in range(0, len(packets), size):
            send(packets[start : start + size], socket.MSG_DONTWAIT)

    def _cut(self, size: int) -> int:
        try:
            self.socket.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        except OSError:
            return -1
        return size

    def carries(self) -> int:
        return _carries(self.socket)

    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def close(self) -> None:
        self._close()


class SharedPort(Link):
    """The listening socket: ``here`` makes the answer come from the address that was asked."""

    def __init__(self, listening: socket.socket, peer: Address, here: Ancillary) -> None:
        self._socket = listening
        self._peer = peer
        self._here = here
        self._segmented = True
        self.send = self._send

    def _send(self, packet: bytes | memoryview) -> None:
        self._socket.sendmsg([packet], self._here, socket.MSG_DONTWAIT, self._peer)

    def burst(self, packets: memoryview, size: int) -> None:
        if self._segmented and len(packets) > size:
            cut = (SOL_UDP, UDP_SEGMENT, struct.pack("@H", size))
            try:
                self._socket.sendmsg([packets], [*self._here, cut], socket.MSG_DONTWAIT, self._peer)
                return
            except OSError as error:
                if error.errno not in UNSEGMENTED:
                    raise
                self._segmented = False
        for start in range(0, len(packets), size):
            self._send(packets[start : start + size])

    def carries(self) -> int:
        with socket.socket(self._socket.family, socket.SOCK_DGRAM) as probe:
            with suppress(OSError):
                probe.connect(self._peer)
            return _carries(probe)

    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """The socket is everybody's."""


class Port:
    """A port that some transfers share, with one more socket for what comes from nobody of them.

    RFC 1350 wants a stranger told so, and a connected socket never gets to see one.
    """

    def __init__(self, family: int, here: Address) -> None:
        self.here = here
        self.stray = _bound(family, here)
        self.peers: set[Address] = set()
        self._bound = (here[0], self.stray.getsockname()[1], *here[2:])

    def fits(self, here: Address, peer: Address) -> bool:
        return self.here == here and peer not in self.peers and len(self.peers) < SHARING

    def connect(self, peer: Address) -> socket.socket:
        mine = _bound(self.stray.family, self._bound)
        try:
            mine.connect(peer)
        except OSError:
            mine.close()
            raise
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, BLOCKING)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, BLOCKING)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.peers.add(peer)
        return mine


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    """The option lets only sockets of the same user share the port."""
    mine = socket.socket(family, socket.SOCK_DGRAM)
    try:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        fragment(mine)
        mine.bind(address)
    except OSError:
        mine.close()
        raise
    return mine


def fragment(mine: socket.socket) -> None:
    """Let routers cut what is too long: with it forbidden, a path that eats their word hangs."""
    if mine.family == socket.AF_INET6:
        mine.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT)
    mine.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)


class Ports:
    """The ports that answers leave from; ``watch`` and ``forget`` hear of their stray sockets."""

    def __init__(
        self, watch: Callable[[socket.socket], None], forget: Callable[[socket.socket], None]
    ) -> None:
        self._open: list[Port] = []
        self._watch = watch
        self._forget = forget

    def take(self, family: int, here: Address, peer: Address) -> OwnPort:
        """A link from ``here`` to ``peer``. Raises OSError."""
        port = next((one for one in self._open if one.fits(here, peer)), None)
        if port is None:
            port = Port(family, here)
            self._watch(port.stray)
            self._open.append(port)
        try:
            connected = port.connect(peer)
        except OSError:
            self._release(port)
            raise
        return OwnPort(connected, lambda: self._leave(port, connected, peer))

    def _leave(self, port: Port, connected: socket.socket, peer: Address) -> None:
        connected.close()
        port.peers.discard(peer)
        self._release(port)

    def _release(self, port: Port) -> None:
        if not port.peers:
            self._open.remove(port)
            self._forget(port.stray)
            port.stray.close()
