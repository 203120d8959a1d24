"""Clients of a TCP service: each sends, waits for its answer, and sends again; all at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

TAG = "{tag}"

_KNOCK = 0.05  # seconds after which we try to connect once more; longer each time
_SILENT = 0.5  # seconds after which a connection counts as one that holds, or an answer as whole
_LONG = 120  # bytes of an answer that an error shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What is sent, and what must be in the answer; None is any, or none."""

    send: bytes
    expect: bytes | None


class NoAnswer(Exception):
    """What a client got instead."""


def talk(where: tuple[str, int], clients: Sequence[Sequence[Exchange]], deadline: float) -> int:
    """Let every client make its exchanges over one connection; returns the bytes that came.

    ``where`` is an address and a TCP port, ``deadline`` a time.monotonic(). All clients are
    connected before the first of them sends. Raises NoAnswer.
    """
    from concurrent.futures import ThreadPoolExecutor  # which a build has no use for

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=len(clients)))
        connections = [stack.enter_context(closing(_Connection(where, deadline))) for _ in clients]
        return sum(pool.map(_exchanges, connections, clients))


def last_answer(where: tuple[str, int], exchange: Exchange, deadline: float) -> bytes:
    """All that one client is sent for one exchange. Raises NoAnswer."""
    with closing(_Connection(where, deadline)) as connection:
        connection.exchange(exchange)
        connection.drain()
        return bytes(connection.heard)


def _exchanges(connection: _Connection, wanted: Sequence[Exchange]) -> int:
    size = 0
    for number, one in enumerate(wanted):
        try:
            connection.exchange(one)
        except NoAnswer as error:
            if len(wanted) == 1:
                raise
            raise NoAnswer(f"packet {number + 1} of {len(wanted)}: {error}") from None
        size += len(connection.heard)
    connection.drain()
    return size


class _Connection:
    def __init__(self, where: tuple[str, int], deadline: float) -> None:
        self.heard = bytearray()
        """What has come since the last exchange began."""

        self._deadline = deadline
        self._socket = self._connected(where)

    def _connected(self, where: tuple[str, int]) -> socket.socket:
        """QEMU queues two connections to a forward; what the next one sends is dropped unheard.

        The kernel would repeat it after 1, 3 and 7 s, so we knock again ourselves.
        """
        pause = _KNOCK
        while True:
            left = self._left()
            try:
                return socket.create_connection(where, timeout=min(pause, left))
            except TimeoutError:
                pause *= 1.5
            except OSError as error:
                raise NoAnswer(f"no connection: {_reason(error)}") from None

    def exchange(self, wanted: Exchange) -> None:
        """Send, and wait until what is expected has come. Raises NoAnswer."""
        self.heard.clear()
        searched = 0
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(wanted.send)
            if wanted.expect is None:
                self._holds()
                return
            while self.heard.find(wanted.expect, searched) < 0:
                searched = max(0, len(self.heard) - len(wanted.expect))
                self._socket.settimeout(self._left())
                if not (some := self._socket.recv(65536)):
                    raise NoAnswer(f"the connection was closed after {self._so_far(wanted)}")
                self.heard += some
        except OSError as error:
            raise NoAnswer(f"{_reason(error)}, after {self._so_far(wanted)}") from None

    def _holds(self) -> None:
        """See that the board takes the connection: QEMU takes one for it before it knows that."""
        self._socket.settimeout(min(_SILENT, self._left()))
        try:
            self.heard += (first := self._socket.recv(65536))
        except TimeoutError:
            return
        if not first:
            raise NoAnswer("the connection was closed at once: nobody listens")

    def drain(self) -> None:
        """Say that nothing more will come from here, and take the rest that does from there."""
        with suppress(OSError, NoAnswer):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(min(_SILENT, self._left()))
            while some := self._socket.recv(65536):
                self.heard += some

    def close(self) -> None:
        """End it, also for a thread that waits for more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise NoAnswer("no answer in time")
        return left

    def _so_far(self, wanted: Exchange) -> str:
        sent = f" to {short(wanted.send)}" if wanted.send else ""
        return f"{short(bytes(self.heard))}{sent}" if self.heard else f"no answer{sent}"


def short(data: bytes) -> str:
    """The end of ``data``, as an error shows it."""
    text = repr(data[-_LONG:].decode(errors="replace"))
    return text if len(data) <= _LONG else f"{len(data):,} bytes that end with {text}"


def _reason(error: OSError) -> str:
    return "nothing more came in time" if isinstance(error, TimeoutError) else str(error.strerror)
