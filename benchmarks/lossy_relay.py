"""A link that loses packets, between TFTP clients and a server: a UDP relay in user space."""

from __future__ import annotations

import os
import random
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Address = tuple[str, int]

_REQUESTS = (b"\0\1", b"\0\2")  # go to the server's own port, whatever the transfer's is
_BUFFER = 4 << 20  # bytes: what is lost here is lost on purpose


@contextmanager
def losing(server: Address, loss: float, *, seed: int = 1) -> Iterator[Address]:
    """Where the server is to be found as long as the block runs: ``loss`` is 0 to 1, each way.

    Each client's packets are lost by its own row of random numbers, drawn from ``seed`` and the
    order of arrival, so that every server meets the same link.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        door.bind(("127.0.0.1", 0))
        door.setblocking(False)
        stop, bell = os.pipe()
        relay = _Relay(door, server, loss, random.Random(seed))
        thread = threading.Thread(target=relay.run, args=(stop,))
        thread.start()
        try:
            yield door.getsockname()
        finally:
            os.close(bell)
            thread.join()
            os.close(stop)


@dataclass(slots=True)
class _Client:
    """``out`` is what the server sees of it; ``transfer`` is the port that answers it."""

    address: Address
    out: socket.socket
    luck: random.Random
    transfer: Address | None = None


@dataclass(slots=True)
class _Relay:
    door: socket.socket
    server: Address
    loss: float
    luck: random.Random
    clients: dict[Address, _Client] = field(default_factory=dict)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self, stop: int) -> None:
        """Until the other end of ``stop`` is closed."""
        self.selector.register(self.door, selectors.EVENT_READ)
        self.selector.register(stop, selectors.EVENT_READ)
        try:
            while True:
                for key, _ in self.selector.select():
                    if key.fileobj == stop:
                        return
                    if key.data is None:
                        self._outwards()
                    else:
                        self._inwards(key.data)
        finally:
            for client in self.clients.values():
                client.out.close()
            self.selector.close()

    def _outwards(self) -> None:
        for packet, address in _waiting(self.door):
            client = self.clients.get(address) or self._add(address)
            if client.luck.random() < self.loss:
                continue
            asks = packet[:2] in _REQUESTS or client.transfer is None
            _send(client.out, packet, self.server if asks else client.transfer)

    def _inwards(self, client: _Client) -> None:
        for packet, address in _waiting(client.out):
            client.transfer = address
            if client.luck.random() >= self.loss:
                _send(self.door, packet, client.address)

    def _add(self, address: Address) -> _Client:
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        out.bind(("127.0.0.1", 0))
        out.setblocking(False)
        client = _Client(address, out, random.Random(self.luck.random()))
        self.clients[address] = client
        self.selector.register(out, selectors.EVENT_READ, client)
        return client


def _waiting(end: socket.socket) -> Iterator[tuple[bytes, Address]]:
    """What has arrived; a closed port of the other side is its own affair."""
    while True:
        try:
            yield end.recvfrom(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            continue


def _send(end: socket.socket, packet: bytes, to: Address | None) -> None:
    try:
        if to is not None:
            end.sendto(packet, to)
    except OSError:
        return
