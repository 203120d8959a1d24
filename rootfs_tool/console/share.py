"""One port for several programs: its owner passes on all that comes, and one of them may write."""

from __future__ import annotations

import contextvars
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rootfs_tool.console import guest
from rootfs_tool.console.base import Console
from rootfs_tool.console.descriptor import CHUNK
from rootfs_tool.errors import ConsoleClosed, ConsoleError, RootfsToolError
from rootfs_tool.events import note

WRITING = 5.0  # seconds since the owner's last byte in which nobody else may begin to write
_LISTEN = 0.1  # seconds
_UNREAD = 4 << 20  # bytes that wait for a guest that does not read, before it is dropped


def offer(console: Console, url: str) -> Console:
    """``console``, which is at ``url``, open to later programs of this user while it is read.

    A console that somebody else already shares stays what it is, and so does one that nobody else
    could mean: a program's, or a new pseudo-terminal.
    """
    if isinstance(console, guest.Guest) or url.partition(":")[0] in ("exec", "pty"):
        return console
    try:
        return Shared(console, url)
    except (OSError, ConsoleError) as error:
        note(f"no other program can share {url}: {error}")
        return console


class Shared:
    """A console that threads read, however slow the caller: guests do not wait for it.

    Whoever writes keeps the right to until it closes, a guest, or has not written for WRITING
    seconds, the owner.
    """

    def __init__(self, console: Console, url: str) -> None:
        self._console = console
        self._url = url
        self._ours = bytearray()
        self._came = threading.Condition()
        self._failure: Exception | None = None
        self._closing = self._over = False
        self._visits: list[_Visit] = []
        self._turn = threading.Lock()  # for the board: one write, break or rate at a time
        self._right = threading.Lock()
        self._writer: _Visit | None = None
        self._wrote = -WRITING
        self._address = guest.address(url, make=True)
        self._server = _listening(self._address)
        self._threads = [self._start(self._pump), self._start(self._welcome)]

    def read(self, timeout: float) -> bytes:
        with self._came:
            self._came.wait_for(lambda: self._ours or self._failure, timeout)
            if self._failure is not None and not self._ours:
                raise self._failure
            data, self._ours = bytes(self._ours), bytearray()
            return data

    def write(self, data: bytes) -> None:
        """As in Console. Raises ConsoleError naming the guest that is writing."""
        self._claim(None)
        with self._turn:
            self._console.write(data)
        self._wrote = time.monotonic()

    def send_break(self) -> None:
        with self._turn:
            self._console.send_break()

    def set_baudrate(self, baudrate: int) -> bool:
        with self._turn:
            return self._console.set_baudrate(baudrate)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        for thread in self._threads:
            thread.join()
        self._console.close()

    def _start(self, work: Callable[..., None], *what: object) -> threading.Thread:
        """Run it beside us; who listens to our notes hears its too."""
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work, *what), daemon=True)
        thread.start()
        return thread

    def _pump(self) -> None:
        """Pass on what the board says."""
        while self._failure is None:
            data = b""
            failure: Exception | None = None
            try:
                data = self._console.read(_LISTEN)
            except Exception as error:  # whatever it is, the reader raises it
                failure = error
            if self._closing:
                failure = ConsoleClosed(f"{self._url} is closed")
            with self._came:
                self._ours += data
                self._failure = failure
                self._came.notify_all()
            for visit in tuple(self._visits):
                visit.send(guest.frame(guest.DATA, data) if data else b"")
        with self._right:
            self._over = True
            for visit in self._visits:
                visit.end()
        with suppress(OSError):
            self._address.unlink()
        self._server.shutdown(socket.SHUT_RDWR)  # wakes accept

    def _welcome(self) -> None:
        while True:
            try:
                connection = self._server.accept()[0]
            except OSError:
                break
            visit = _Visit(connection)
            with self._right:
                if self._over:
                    visit.close()
                    break
                self._visits.append(visit)
            visit.send(guest.frame(guest.DONE))
            self._start(self._serve, visit)
        self._server.close()  # and with it those who still wait to be let in

    def _serve(self, visit: _Visit) -> None:
        """Do what a guest asks for, until it leaves."""
        frames = guest.Frames()
        while data := visit.receive():
            for kind, content in frames.add(data):
                try:
                    answer = guest.frame(guest.DONE, self._do(visit, kind, content))
                except RootfsToolError as error:
                    answer = guest.frame(guest.REFUSED, str(error).encode())
                visit.send(answer)
        with self._right:
            self._visits.remove(visit)
            if self._writer is visit:
                self._writer = None
        visit.close()

    def _do(self, visit: _Visit, kind: bytes, content: bytes) -> bytes:
        self._claim(visit)
        with self._turn:
            if kind == guest.DATA:
                self._console.write(content)
            elif kind == guest.BREAK:
                self._console.send_break()
            else:
                return str(self._console.set_baudrate(int(content))).encode()
        return b""

    def _claim(self, visit: _Visit | None) -> None:
        """Take the right to write, for the owner where there is no ``visit``."""
        with self._right:
            if self._writer is not None and self._writer is not visit:
                raise _refused(self._url, self._writer.name)
            if visit is not None and self._writer is None:
                if time.monotonic() - self._wrote < WRITING:
                    raise _refused(self._url, "the program that has it open")
                self._writer = visit


class _Visit:
    """The owner's end of a guest's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.name = guest.peer(connection)
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting = bytearray()

    def receive(self) -> bytes:
        """What the guest sent; empty when it has left."""
        try:
            return self._connection.recv(CHUNK)
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Send as much of it, and of what waits, as goes at once."""
        with self._lock, suppress(OSError):  # receive finds out that it has left
            self._waiting += data
            with suppress(BlockingIOError):
                while self._waiting:
                    del self._waiting[: self._connection.send(self._waiting, socket.MSG_DONTWAIT)]
            if len(self._waiting) > _UNREAD:
                self.end()

    def end(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _refused(url: str, who: str) -> ConsoleError:
    return ConsoleError(
        f"{url} is being written to by {who}", hint="one program writes at a time: end that first"
    )


def _listening(address: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    try:
        address.unlink(missing_ok=True)  # left by an owner that was killed
        server.bind(str(address))
        server.listen()
    except BaseException:
        server.close()
        raise
    return server
