"""Clients of aesdsocket: they send lines, and check what comes back to the byte."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

PATIENCE = 30.0  # seconds, for anything that a server says or does
MOST = 64 << 20  # bytes of an answer; none here is longer


@contextmanager
def connected(port: int, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:
        yield connection


def ask(connection: socket.socket, packet: bytes) -> bytes:
    """Send ``packet``, unlike every other, and return the answer, which it ends."""
    connection.sendall(packet)
    return until(connection, packet)


def until(connection: socket.socket, end: bytes) -> bytes:
    """What is received up to ``end``."""
    heard = bytearray()
    while not heard.endswith(end):
        some = connection.recv(1 << 20)
        assert some, f"closed after {len(heard)} bytes: …{bytes(heard[-60:])!r}"
        heard += some
        assert len(heard) < MOST, f"no {end[-60:]!r} at the end of {MOST} bytes"
    return bytes(heard)


def exactly(connection: socket.socket, count: int) -> bytes:
    """The next ``count`` bytes."""
    heard = bytearray()
    while len(heard) < count:
        some = connection.recv(count - len(heard))
        assert some, f"closed after {len(heard)} of {count} bytes"
        heard += some
    return bytes(heard)


def to_the_end(connection: socket.socket) -> bytes:
    """All that is received until the other side has closed."""
    heard = bytearray()
    while some := connection.recv(1 << 20):
        heard += some
        assert len(heard) < MOST, f"no end after {MOST} bytes"
    return bytes(heard)


def all_at_once(port: int, clients: int, packets: int) -> set[bytes]:
    """So many clients, each with so many packets, one after the answer to the other.

    Returns every packet. Raises AssertionError if an answer lacks one of its own, or if two
    answers disagree about what came before: each is the beginning of a longer one.
    """
    ready = Barrier(clients)

    def talk(client: int) -> list[bytes]:
        with connected(port) as connection:
            ready.wait(PATIENCE)
            return [ask(connection, packet(client, each)) for each in range(packets)]

    with ThreadPoolExecutor(clients) as pool:
        answers = [answer for each in pool.map(talk, range(clients)) for answer in each]
    longest = max(answers, key=len)
    assert all(longest.startswith(answer) for answer in answers)
    sent = [packet(client, each) for client in range(clients) for each in range(packets)]
    assert len(answers) == len(sent)
    assert sorted(longest.splitlines(keepends=True)[-len(sent) :]) == sorted(sent)
    return set(sent)


def packet(client: int, number: int) -> bytes:
    return f"client {client} packet {number} {'x' * (client + number)}.\n".encode()
