"""A console that another rootfs-tool of the same user holds and shares: the guest's end of it."""

from __future__ import annotations

import hashlib
import os
import select
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rootfs_tool.console import ports
from rootfs_tool.console.descriptor import CHUNK
from rootfs_tool.errors import ConsoleClosed, ConsoleError, ConsoleTimeout

DATA, BREAK, BAUDRATE, DONE, REFUSED = b"D", b"B", b"R", b"K", b"N"
_HEADER = struct.Struct(">cI")  # what a frame is, and how many bytes of it follow
_PIECE = 4096  # bytes that one frame asks the owner to send: others are heard in between
_WELCOME = 5.0  # seconds
_ANSWER = 60.0  # seconds for that, at 110 baud


def frame(kind: bytes, content: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(content)) + content


class Frames:
    """What a socket brings, cut into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def add(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self._held += data
        whole = []
        while len(self._held) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._held)
            end = _HEADER.size + length
            if len(self._held) < end:
                break
            whole.append((kind, bytes(self._held[_HEADER.size : end])))
            del self._held[:end]
        return whole


def address(url: str, *, make: bool = False) -> Path:
    """The socket on which whoever holds the port at ``url`` shares it.

    ``make`` makes its directory. Raises ConsoleError when that is not ours alone.
    """
    path = url.removeprefix("serial:")
    port = os.path.realpath(ports.lasting_name(path)) if path.startswith("/") else url
    name = "".join(c if c.isalnum() else "-" for c in port.removeprefix("/dev/"))[-20:]
    return _directory(make) / f"{name}.{hashlib.sha256(port.encode()).hexdigest()[:8]}"


def _directory(make: bool) -> Path:
    """A directory for the sockets of this user (XDG Base Directory Specification)."""
    user = os.getuid()
    for runtime in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"):
        if runtime and os.access(runtime, os.W_OK):
            directory = Path(runtime) / "rootfs-tool"
            break
    else:
        directory = Path(tempfile.gettempdir()) / f"rootfs-tool-{user}"
    if make:
        directory.mkdir(mode=0o700, exist_ok=True)
    elif not directory.exists():
        return directory
    state = directory.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != user or state.st_mode & 0o077:
        raise ConsoleError(
            f"{directory} is not a directory of yours alone",
            hint="remove it: shared consoles have their sockets there",
        )
    return directory


def peer(connection: socket.socket) -> str:
    """The name and process id of who is at the other end (unix(7), SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process = struct.unpack("3i", raw)[0]
    try:
        name = Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        name = "a program"
    return f"{name} (process {process})"


def visit(url: str) -> Guest | None:
    """The console at ``url`` as a guest of who holds it; None when nobody shares it."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address(url)))
        return Guest(connection, url)
    except (OSError, ConsoleError):
        connection.close()
        return None


class Guest:
    def __init__(self, connection: socket.socket, url: str) -> None:
        """Be let in by the owner. Raises ConsoleError when it is leaving, or does not answer."""
        self.owner = peer(connection)
        self._connection = connection
        self._url = url
        self._frames = Frames()
        self._data = bytearray()
        self._asked = 1  # times that the owner has not answered yet; it greets us unasked
        self._answer = DONE, b""
        self._came = threading.Condition()  # one thread may read while another writes
        self._receiving = False
        connection.settimeout(_ANSWER)
        self._await_answer(_WELCOME)

    def read(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        while not self._data:
            left = deadline - time.monotonic()
            self._receive(max(0.0, left), lambda: self._data)
            if left <= 0:
                break
        with self._came:
            data = bytes(self._data)
            self._data.clear()
        return data

    def write(self, data: bytes) -> None:
        """As in Console. Raises ConsoleError naming another program that is writing."""
        for start in range(0, len(data), _PIECE):
            self._ask(DATA, data[start : start + _PIECE])

    def send_break(self) -> None:
        self._ask(BREAK)

    def set_baudrate(self, baudrate: int) -> bool:
        return self._ask(BAUDRATE, str(baudrate).encode()) == b"True"

    def close(self) -> None:
        self._connection.close()

    def _ask(self, kind: bytes, content: bytes = b"") -> bytes:
        """Have the owner do it; what it answers."""
        try:
            self._connection.sendall(frame(kind, content))
        except OSError as error:
            raise self._closed(str(error.strerror)) from None
        with self._came:
            self._asked += 1  # more than one when a Ctrl-C took us out of here
        self._await_answer(_ANSWER)
        verdict, words = self._answer
        if verdict == REFUSED:
            raise ConsoleError(words.decode(errors="replace"))
        return words

    def _await_answer(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._asked:
            if (left := deadline - time.monotonic()) <= 0:
                raise ConsoleTimeout(f"{self.owner}, which has {self._url}, does not answer")
            self._receive(left, lambda: not self._asked)

    def _receive(self, timeout: float, enough: Callable[[], object]) -> None:
        """Take in what comes next, or wait for the thread that does, unless there is enough."""
        with self._came:
            if enough():
                return
            if self._receiving:
                self._came.wait(timeout)
                return
            self._receiving = True
        frames: list[tuple[bytes, bytes]] = []
        try:
            frames = self._frames.add(self._next(timeout))
        finally:
            with self._came:
                self._receiving = False
                for kind, content in frames:
                    if kind == DATA:
                        self._data += content
                    else:
                        self._asked -= 1
                        self._answer = kind, content
                self._came.notify_all()

    def _next(self, timeout: float) -> bytes:
        if not select.select([self._connection], [], [], timeout)[0]:
            return b""
        try:
            data = self._connection.recv(CHUNK)
        except OSError as error:
            raise self._closed(str(error.strerror)) from None
        if not data:
            raise self._closed("end of file")
        return data

    def _closed(self, reason: str) -> ConsoleClosed:
        return ConsoleClosed(
            f"{self.owner}, which had {self._url}, has ended ({reason})",
            hint="the port is free now: do it again",
        )
