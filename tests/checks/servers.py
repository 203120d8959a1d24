"""TCP services of this host, right and wrong, that stand in for a board's."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[socketserver.StreamRequestHandler, bytes], None]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """The port of a service that gives every line of every client to ``answer``."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                for line in self.rfile:
                    answer(self, line)
            except OSError:  # the client has gone
                pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def echo(client: socketserver.StreamRequestHandler, line: bytes) -> None:
    client.wfile.write(line)


def silent(client: socketserver.StreamRequestHandler, line: bytes) -> None:
    pass


def ends(client: socketserver.StreamRequestHandler, line: bytes) -> None:
    raise ConnectionAbortedError


class Keeps:
    """Adds every line to what it has and answers with all of that; ``often`` times each."""

    def __init__(self, often: Callable[[int], int] = lambda number: 1) -> None:
        self.lines: list[bytes] = []
        self._often = often
        self._number = 0
        self._lock = threading.Lock()

    def __call__(self, client: socketserver.StreamRequestHandler, line: bytes) -> None:
        with self._lock:
            self._number += 1
            self.lines += [line] * self._often(self._number)
            everything = b"".join(self.lines)
        client.wfile.write(everything if line in everything else everything + line)


class Alone:
    """Serves one client after another: the next one waits until the first has gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: object = None

    def __call__(self, client: socketserver.StreamRequestHandler, line: bytes) -> None:
        with self._lock:
            self._owner = self._owner or client
        if self._owner is client:
            client.wfile.write(line)
        else:
            time.sleep(0.01)
