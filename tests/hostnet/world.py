"""A server in the world behind the host: it answers, and remembers who asked."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.hostnet.lab import FAR, Lab
from tests.hostnet.stack import Stack, opened, stack

PORT = 7777
CONTENT = random.Random(7).randbytes(100_000)


@dataclass(slots=True)
class World:
    """``seen`` are the addresses that questions have come from."""

    seen: list[str] = field(default_factory=list)


@contextmanager
def answering(host: Lab) -> Iterator[World]:
    """CONTENT to whoever says something to PORT of FAR, until the block ends."""
    world = World()
    server = host.within(host.world, lambda: socket.create_server((FAR, PORT)))

    def serve() -> None:
        with suppress(OSError):  # it has been closed
            while True:
                connection, (address, _) = server.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    world.seen.append(address)
                    connection.recv(100)
                    connection.sendall(CONTENT)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@contextmanager
def board(host: Lab, tap: str = "tap0", address: str = "10.0.0.2") -> Iterator[Stack]:
    """A stack of user space at the host's TAP, with the host as its router."""
    with stack(host.within(host.host, lambda: opened(tap)), address, "10.0.0.1") as made:
        yield made
