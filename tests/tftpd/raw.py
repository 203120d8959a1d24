"""A client that sends exactly what it is told to, and a server over a dictionary."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rootfs_tool.tftpd.base import Code, Event, Files, Kind, Limits, Opened, Refused, Upload
from rootfs_tool.tftpd.serving import serving

DEADLINE = 10.0  # seconds in which anything must have happened
RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)


class Shelf(Files):
    """``read`` has what is served, ``written`` what came; one called "broken" is a bug of ours."""

    def __init__(self, **read: bytes) -> None:
        self.read = read
        self.written: dict[str, bytes] = {}
        self.discarded: list[str] = []
        self.descriptors: list[int] = []

    def open(self, name: bytes, peer: str) -> Opened:
        if name == b"broken":
            raise RuntimeError("a bug")
        content = self.read.get(name.decode("latin-1"))
        if content is None:
            raise Refused(Code.NOT_FOUND, "file not found")
        fd = os.memfd_create("served")
        os.pwrite(fd, content, 0)
        self.descriptors.append(fd)
        return Opened(fd=fd, size=len(content), name=name.decode(), note=f"for {peer}")

    def create(self, name: bytes, peer: str, size: int | None) -> Upload:
        return Arriving(self, name.decode())


class Arriving(Upload):
    def __init__(self, shelf: Shelf, name: str) -> None:
        self.shelf = shelf
        self.name = name
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if b"too much" in data:
            raise Refused(Code.DISK_FULL, "no room")
        self.parts.append(data)

    def commit(self) -> None:
        self.shelf.written[self.name] = b"".join(self.parts)

    def discard(self) -> None:
        self.shelf.discarded.append(self.name)


@dataclass
class Heard:
    """The events of a server, in the order in which they came."""

    events: list[Event] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, event: Event) -> None:
        with self.news:
            self.events.append(event)
            self.news.notify_all()

    def first(self, kind: Kind) -> Event:
        with self.news:
            assert self.news.wait_for(lambda: self._of(kind), DEADLINE), self.events
            return self._of(kind)[0]

    def _of(self, kind: Kind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]


@dataclass
class Server:
    address: str
    port: int
    heard: Heard

    def client(self) -> Raw:
        return Raw(self.address, self.port)


@contextmanager
def server(
    files: Files,
    *,
    address: str = "127.0.0.1",
    limits: Limits | None = None,
    single_port: bool = False,
) -> Iterator[Server]:
    heard = Heard()
    with serving(
        files, address, limits=limits or Limits(), listener=heard, single_port=single_port
    ) as (bound, port):
        yield Server(bound, port, heard)


class Raw:
    """Talks to whoever answered last, as TFTP clients do; ``there`` is where that is."""

    def __init__(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.bind((address, 0))
        self.door = self.there = (address, port)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(
        self,
        name: str,
        options: Mapping[str, int] | None = None,
        *,
        opcode: int = RRQ,
        mode: str = "octet",
    ) -> None:
        fields = [name, mode]
        for key, value in (options or {}).items():
            fields += [key, str(value)]
        packet = opcode.to_bytes(2, "big")
        packet += b"".join(one.encode("latin-1") + b"\0" for one in fields)
        self.socket.sendto(packet, self.door)

    def send(self, packet: bytes) -> None:
        self.socket.sendto(packet, self.there)

    def ack(self, block: int) -> None:
        self.send(b"\0\4" + block.to_bytes(2, "big"))

    def data(self, block: int, content: bytes) -> None:
        self.send(b"\0\3" + block.to_bytes(2, "big") + content)

    def receive(self) -> tuple[int, bytes]:
        """The opcode and the rest of what comes next."""
        packet, self.there = self.socket.recvfrom(70_000)
        return int.from_bytes(packet[:2], "big"), packet[2:]

    def expect(self, opcode: int) -> bytes:
        got, rest = self.receive()
        assert got == opcode, (got, rest[:80])
        return rest

    def block(self, number: int) -> bytes:
        """What is in the DATA packet that comes next, which has this number."""
        rest = self.expect(DATA)
        assert int.from_bytes(rest[:2], "big") == number
        return rest[2:]

    def agreed(self) -> dict[str, int]:
        fields = self.expect(OACK).decode().split("\0")
        return {key: int(value) for key, value in zip(fields[::2], fields[1::2], strict=False)}

    def error(self) -> int:
        rest = self.expect(ERROR)
        assert rest.endswith(b"\0")
        assert rest[2:-1].decode("ascii")
        return int.from_bytes(rest[:2], "big")

    def silent(self, seconds: float = 0.2) -> bool:
        """Nothing comes for a while."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(70_000) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(DEADLINE)

    def fetch(self, name: str, **options: int) -> bytes:
        """All of a file, the way a good client reads it; the last packet of a window is acked."""
        self.ask(name, options)
        blksize, window, rollover = 512, 1, 0
        if options:
            agreed = self.agreed()
            blksize, window = agreed.get("blksize", 512), agreed.get("windowsize", 1)
            rollover = agreed.get("rollover", 0)
            self.ack(0)
        content, number, count = bytearray(), 1, 0
        while True:
            rest = self.expect(DATA)
            if int.from_bytes(rest[:2], "big") != number:
                continue  # sent again because this host was busy
            data = rest[2:]
            content += data
            count += 1
            if len(data) < blksize or count % window == 0:
                self.ack(number)
            if len(data) < blksize:
                return bytes(content)
            number = number + 1 if number < 65535 else rollover

    def store(self, name: str, content: bytes, **options: int) -> None:
        self.ask(name, options, opcode=WRQ)
        blksize, window = 512, 1
        if options:
            agreed = self.agreed()
            blksize, window = agreed.get("blksize", 512), agreed.get("windowsize", 1)
        else:
            assert self.expect(ACK) == b"\0\0"
        count = len(content) // blksize + 1
        for number in range(1, count + 1):
            self.data(number & 0xFFFF, content[(number - 1) * blksize : number * blksize])
            if number % window == 0 or number == count:
                assert int.from_bytes(self.expect(ACK), "big") == number & 0xFFFF
