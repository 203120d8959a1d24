"""Hostile packets, while somebody else fetches a file, which must arrive as it is."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rootfs_tool.tftpd import options, packet
from rootfs_tool.tftpd.base import Limits, Refused
from tests.tftpd.hostile import CROOKED, LATER, PACKETS, requests
from tests.tftpd.served import Served, directory_served

SECRET = b"nobody may read this"
BLKSIZE = 512
BLOCKS = 24
PATIENCE = 10.0  # seconds for a whole transfer, which takes some hundredths of one
# What hangs fails by PATIENCE, on a slow host too.
unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
Address = tuple[str, int]
# what it shows of a failure; the name of 60,000 bytes is one of the attacks
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@given(PACKETS)
@settings(unhurried, max_examples=500)
def test_whatever_comes_is_a_request_or_refused(received: bytes) -> None:
    try:
        found = packet.request(received)
    except Refused:
        return
    assert found.name == received[2:].split(b"\0")[0]
    agreed = options.agree(found, size=1000, window=64, carries=lambda: 1428)
    assert 8 <= agreed.blksize <= 65464
    assert 1 <= agreed.windowsize <= 64
    assert agreed.timeout is None or 1 <= agreed.timeout <= 255
    answered = agreed.oack[2:].split(b"\0")[::2]
    assert set(answered) <= {key for key, _ in found.options} | {b""}


@pytest.fixture(scope="module", params=[False, True], ids=["own ports", "single port"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One of a directory with all in it that is no file, which takes uploads too."""
    directory = tmp_path_factory.mktemp("fuzz")
    limits, single = Limits(patience=2), request.param
    with directory_served(directory / "served", limits=limits, single_port=single) as served:
        root = served.root
        (root / "directory").mkdir()
        os.mkfifo(root / "fifo")
        (root / "loop").symlink_to("loop")
        (directory / "secret").write_bytes(SECRET)
        (root / "outside").symlink_to(directory / "secret")
        served.file("file", 100_000)
        served.file("empty", 0)
        yield served
    assert (directory / "secret").read_bytes() == SECRET
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []
    assert [
        path.name for path in directory.iterdir() if path.name not in ("secret", "served")
    ] == []


class Victim:
    """A client that fetches a file and leaves its enemies time between its ACKs."""

    def __init__(self, server: Served, window: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.5)
        self.server = (server.address, server.port)
        self.transfer: Address | None = None
        self.content = b""
        self._window, self._block = window, 0
        self._deadline = time.monotonic() + PATIENCE
        self.socket.sendto(b"\0\1victim\0octet\0windowsize\0%d\0" % window, self.server)

    def take(self) -> bool:
        """The blocks up to our next ACK; False once the file is whole."""
        for _ in range(self._window if self._block else 1):
            received = self._next()
            if received[:2] == b"\0\6":
                break
            self._block += 1
            self.content += received[4:]
            if len(received) < BLKSIZE + 4:
                self._acknowledge()
                return False
        self._acknowledge()
        return True

    def _next(self) -> bytes:
        """The OACK, or the block that comes next; other blocks are old ones."""
        while True:
            assert time.monotonic() < self._deadline, f"nothing after block {self._block}"
            try:
                received, self.transfer = self.socket.recvfrom(65536)
            except TimeoutError:
                self._acknowledge()
                continue
            if received[:2] == b"\0\6":
                if self._block == 0:
                    return received
            elif received[:4] == b"\0\3" + (self._block + 1).to_bytes(2):
                return received
            else:
                assert received[:2] == b"\0\3", received

    def asks_anew(self, packet: bytes) -> bool:
        """Where all is on one port, a request is one for a new transfer."""
        return self.transfer == self.server and packet[:2] in (b"\0\1", b"\0\2")

    def _acknowledge(self) -> None:
        if self.transfer is not None:
            self.socket.sendto(b"\0\4" + self._block.to_bytes(2), self.transfer)


MOVES = st.one_of(
    st.tuples(st.sampled_from(["door", "transfer", "own transfer"]), PACKETS),
    st.tuples(st.just("victim"), CROOKED),
)


@given(
    turns=st.lists(st.lists(MOVES, max_size=6), max_size=8),
    window=st.sampled_from([1, 4]),
    asks=requests(),
    then=LATER,
)
@settings(unhurried, max_examples=400)
def test_a_transfer_goes_on_whatever_others_send(
    server: Served,
    turns: list[list[tuple[str, bytes]]],
    window: int,
    asks: bytes,
    then: bytes,
) -> None:
    content = server.file("victim", BLOCKS * BLKSIZE + 17)
    with ExitStack() as stack:
        enemy = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        enemy.setblocking(False)
        victim = Victim(server, window)
        stack.enter_context(victim.socket)
        enemy.sendto(asks, victim.server)
        while victim.take():
            assert victim.transfer is not None
            own = answered(enemy) or victim.server
            enemy.sendto(then, own)
            for whom, hostile in turns.pop() if turns else ():
                match whom:
                    case "door":
                        enemy.sendto(hostile, victim.server)
                    case "transfer":
                        enemy.sendto(hostile, victim.transfer)
                    case "own transfer":
                        enemy.sendto(hostile, own)
                    case _ if victim.asks_anew(hostile):
                        pass
                    case _:
                        victim.socket.sendto(hostile, victim.transfer)
        answered(enemy)
    assert victim.content == content


def answered(enemy: socket.socket) -> Address | None:
    """Where its last answer came from; none of them tells a secret."""
    source: Address | None = None
    while True:
        try:
            received, source = enemy.recvfrom(65536)
        except BlockingIOError:
            return source
        assert SECRET not in received
        assert b"root:" not in received
