"""The rules of the protocol, packet by packet, on real sockets."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootfs_tool.tftpd.base import Code, Files, Kind, Limits, Opened, Refused, Upload
from rootfs_tool.tftpd.engine import Engine
from tests.tftpd.raw import ACK, DATA, ERROR, WRQ, Raw, Server, Shelf, server

CONTENT = random.Random(4).randbytes(100_000)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(file=CONTENT, empty=b"", text=b"a\nb\rc\n")


@pytest.fixture(params=[False, True], ids=["own ports", "single port"])
def running(request: pytest.FixtureRequest, shelf: Shelf) -> Iterator[Server]:
    with server(shelf, single_port=request.param) as one:
        yield one


@pytest.fixture
def client(running: Server) -> Iterator[Raw]:
    with running.client() as one:
        yield one


OPTIONS: list[dict[str, int]] = [
    {},
    {"blksize": 1428, "tsize": 0},
    {"blksize": 65464},
    {"windowsize": 4},
    {"windowsize": 16, "blksize": 1428},
    {"windowsize": 64, "blksize": 8},
    {"windowsize": 64, "blksize": 65464},
    {"windowsize": 3, "blksize": 1024, "rollover": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1428 * 32, 100_000])
def test_a_file_is_read_whole(
    client: Raw, shelf: Shelf, options: dict[str, int], size: int
) -> None:
    shelf.read["sized"] = CONTENT[:size]
    assert client.fetch("sized", **options) == CONTENT[:size]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", [0, 511, 512, 100_000])
def test_a_file_is_written_whole(
    client: Raw, running: Server, shelf: Shelf, options: dict[str, int], size: int
) -> None:
    client.store("new", CONTENT[:size], **options)
    assert shelf.written["new"] == CONTENT[:size]  # before the last ACK
    event = running.heard.first(Kind.ENDED)
    assert (event.name, event.write, event.sent) == ("new", True, size)
    assert not shelf.discarded


@pytest.mark.parametrize("rollover", [None, 0, 1])
def test_the_numbers_of_blocks_roll_over(client: Raw, shelf: Shelf, rollover: int | None) -> None:
    shelf.read["long"] = content = random.Random(5).randbytes(70_000 * 8)
    options = {"blksize": 8, "windowsize": 64}
    if rollover is not None:
        options["rollover"] = rollover
    assert client.fetch("long", **options) == content


def test_in_lockstep_too(shelf: Shelf) -> None:
    shelf.read["long"] = content = random.Random(5).randbytes(66_000 * 8)
    with server(shelf) as running, running.client() as client:
        assert client.fetch("long", blksize=8) == content


def test_text_is_text(client: Raw, shelf: Shelf) -> None:
    client.ask("text", {"tsize": 0, "blksize": 8}, mode="NetASCII")
    assert client.agreed() == {"blksize": 8}  # how long it is is not known yet
    client.ack(0)
    assert client.block(1) == b"a\r\nb\r\0c\r"
    client.ack(1)
    assert client.block(2) == b"\n"
    client.ack(2)
    client.there = client.door
    client.ask("back", opcode=WRQ, mode="netascii")
    client.expect(ACK)
    client.data(1, b"x" * 511 + b"\r")
    client.expect(ACK)
    client.data(2, b"\ny\r\0z\r")
    client.expect(ACK)
    assert shelf.written["back"] == b"x" * 511 + b"\ny\rz\r"


def test_long_text_in_windows(client: Raw, shelf: Shelf) -> None:
    shelf.read["lines"] = b"line\n" * 50_001
    client.ask("lines", {"blksize": 1000, "windowsize": 5}, mode="netascii")
    client.agreed()
    client.ack(0)
    got, number = b"", 0
    while len(got) % 1000 == 0:
        number += 1
        got += client.block(number)
        if number % 5 == 0 or len(got) % 1000:
            client.ack(number)
    assert got == b"line\r\n" * 50_001


def test_what_is_refused_is_said_with_its_code(client: Raw, running: Server) -> None:
    client.ask("other")
    assert client.error() == Code.NOT_FOUND
    client.ask("broken")
    assert client.error() == Code.UNDEFINED
    client.ask("file", mode="mail")
    assert client.error() == Code.ILLEGAL_OPERATION
    event = running.heard.first(Kind.REFUSED)
    assert (event.name, event.reason) == ("other", "file not found")
    assert event.peer == f"127.0.0.1:{client.socket.getsockname()[1]}"


def test_names_that_steer_a_terminal_are_escaped(client: Raw, running: Server) -> None:
    client.ask("\x1b[2J\xff")
    client.error()
    assert running.heard.first(Kind.REFUSED).name == r"\x1b[2J\xff"


def test_what_came_of_a_transfer_is_told(client: Raw, running: Server) -> None:
    client.fetch("file", blksize=1000, windowsize=2)
    begun, event = running.heard.first(Kind.BEGUN), running.heard.first(Kind.ENDED)
    assert begun.peer == event.peer
    assert (event.name, event.size, event.sent) == ("file", 100_000, 100_000)
    assert (event.blksize, event.windowsize, event.retransmissions) == (1000, 2, 0)
    assert event.note == "for 127.0.0.1"
    assert event.seconds > 0


def test_a_request_come_again_is_one_transfer(client: Raw) -> None:
    for _ in range(3):
        client.ask("file", {"tsize": 0})
    assert client.agreed() == {"tsize": 100_000}
    first = client.there
    client.ack(0)
    for number in range(1, 100_000 // 512 + 2):
        client.block(number)
        assert client.there == first
        client.ack(number)
    assert client.silent()


def test_a_client_that_starts_again_is_served_at_once(client: Raw) -> None:
    client.ask("file")
    client.block(1)
    client.ack(1)
    client.block(2)
    client.there = client.door
    client.ask("empty")
    while client.receive() != (DATA, b"\0\1"):
        pass  # what is left of the first
    client.ack(1)


@pytest.mark.parametrize("window", [1, 8])
def test_doubled_acks_do_not_double_the_data(client: Raw, window: int) -> None:
    client.ask("file", {"blksize": 1000, "windowsize": window})
    client.agreed()
    client.ack(0)
    client.ack(0)
    packets, number = 0, 0
    while number < 101:
        number += 1
        client.block(number)
        packets += 1
        if number % window == 0 or number == 101:
            client.ack(number)
            client.ack(number)
    assert packets == 101
    assert client.silent()


def test_a_lost_block_comes_again(client: Raw, running: Server) -> None:
    client.ask("file", {"blksize": 50_000})
    client.agreed()
    client.ack(0)
    first = client.block(1)
    assert client.block(1) == first
    assert client.block(1) == first
    client.ack(1)
    client.block(2)
    client.ack(2)
    client.block(3)
    client.ack(3)
    assert running.heard.first(Kind.ENDED).retransmissions == 2


def test_a_window_goes_on_from_where_the_client_is(client: Raw) -> None:
    client.ask("file", {"blksize": 1000, "windowsize": 4})
    client.agreed()
    client.ack(0)
    for number in (1, 2, 3, 4):
        client.block(number)
    client.ack(2)  # 3 got lost
    for number in (3, 4, 5, 6):
        assert client.block(number) == CONTENT[(number - 1) * 1000 : number * 1000]
    client.ack(2)  # the first of a window got lost: it is mended at once, and once
    assert client.block(3)
    for number in (4, 5, 6):
        client.block(number)
    client.ack(6)
    client.block(7)


@pytest.mark.parametrize("window", [1, 4])
def test_an_ack_from_the_future_is_no_ack(client: Raw, window: int) -> None:
    client.ask("file", {"blksize": 1000, "windowsize": window})
    client.agreed()
    client.ack(0)
    for number in range(1, window + 1):
        client.block(number)
    for number in (90, 101, 65535):
        client.ack(number)
    again = client.block(1)  # by the timer: nothing else moved it
    assert again == CONTENT[:1000]


def test_the_timeout_that_was_asked_for_is_kept(client: Raw) -> None:
    client.ask("file", {"timeout": 1})
    assert client.agreed() == {"timeout": 1}
    assert client.silent(0.8)
    assert client.agreed() == {"timeout": 1}


def test_the_last_ack_may_get_lost(shelf: Shelf) -> None:
    with server(shelf) as running, running.client() as client:
        client.ask("empty")
        client.block(1)
        client.socket.close()  # it has all that it wants
        assert running.heard.first(Kind.ENDED).size == 0


def test_an_upload_lingers_for_a_lost_last_ack(client: Raw, shelf: Shelf) -> None:
    client.ask("new", opcode=WRQ)
    client.expect(ACK)
    client.data(1, b"short")
    client.expect(ACK)
    client.data(1, b"short")
    assert client.expect(ACK) == b"\0\1"
    assert shelf.written == {"new": b"short"}


def test_a_gap_in_an_upload_is_told_once(client: Raw, shelf: Shelf) -> None:
    client.ask("new", {"windowsize": 4, "blksize": 8}, opcode=WRQ)
    client.agreed()
    client.data(1, b"1" * 8)
    client.data(3, b"3" * 8)
    client.data(4, b"4" * 8)
    assert client.expect(ACK) == b"\0\1"
    for number in (2, 3, 4, 5):
        client.data(number, b"%d" % number * 8)
    assert client.expect(ACK) == b"\0\5"
    client.data(6, b"")
    assert client.expect(ACK) == b"\0\6"
    assert shelf.written["new"] == b"".join(b"%d" % number * 8 for number in range(1, 6))


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([b"x" * 600], Code.ILLEGAL_OPERATION),
        ([b"too much"], Code.DISK_FULL),
        ([b"1234"], Code.UNDEFINED),
        ([b"123456"], Code.DISK_FULL),
    ],
)
def test_an_upload_that_goes_wrong_leaves_nothing(
    client: Raw, shelf: Shelf, running: Server, blocks: list[bytes], code: Code
) -> None:
    client.ask("new", {"tsize": 5} if len(blocks[0]) < 7 else {}, opcode=WRQ)
    client.receive()
    client.data(1, blocks[0])
    assert client.error() == code
    assert running.heard.first(Kind.FAILED).reason
    assert shelf.discarded == ["new"]
    assert not shelf.written


def test_a_client_that_gives_up_is_quoted(client: Raw, running: Server) -> None:
    client.ask("file")
    client.block(1)
    client.send(b"\0\5\0\3No space left\0")
    assert "error 3: No space left" in running.heard.first(Kind.FAILED).reason
    assert client.silent()


def test_a_client_whose_port_is_closed_is_gone(shelf: Shelf) -> None:
    with server(shelf) as running:
        with running.client() as client:
            client.ask("file", {"tsize": 0})
            client.agreed()
        assert "port is closed" in running.heard.first(Kind.FAILED).reason


def test_one_who_never_answers_is_given_up_with_a_hint(shelf: Shelf) -> None:
    with server(shelf, limits=Limits(patience=0.3)) as running, running.client() as client:
        client.ask("file")
        client.block(1)
        event = running.heard.first(Kind.FAILED)
        assert str(client.there[1]) in event.hint
        assert "firewall" in event.hint
        assert event.reason == "no answer ever came"


def test_a_stranger_is_told_so_and_the_transfer_goes_on(shelf: Shelf) -> None:
    with server(shelf) as running, running.client() as client, running.client() as stranger:
        client.ask("file", {"blksize": 50_000})
        client.agreed()
        stranger.there = client.there
        for packet in (b"\0\4\0\0", b"\0\3\0\1x"):
            stranger.send(packet)
            assert stranger.error() == Code.UNKNOWN_ID
        stranger.send(b"\0\5\0\0x\0")
        assert stranger.silent()
        client.ack(0)
        assert client.block(1) == CONTENT[:50_000]


def test_what_is_no_request_is_answered_as_it_should(client: Raw) -> None:
    for packet, code in [
        (b"\0\3\0\1x", Code.UNKNOWN_ID),
        (b"\0\4\0\1", Code.UNKNOWN_ID),
        (b"\0\6x\x000\0", Code.ILLEGAL_OPERATION),
        (b"\0\0", Code.ILLEGAL_OPERATION),
        (b"\0\x09", Code.ILLEGAL_OPERATION),
        (b"\xff\1a\0octet\0", Code.ILLEGAL_OPERATION),
        (b"\0\1" + b"x" * 60_000 + b"\0octet\0", Code.ILLEGAL_OPERATION),
    ]:
        client.send(packet)
        assert client.error() == code
        client.there = client.door
    for packet in (b"", b"\0", b"\0\5\0\1x\0", b"\0\5"):
        client.send(packet)
    assert client.silent()


def test_on_one_port_the_last_ack_may_get_lost_too(shelf: Shelf) -> None:
    limits = Limits(patience=0.3)
    with server(shelf, limits=limits, single_port=True) as running, running.client() as client:
        client.ask("empty", {"blksize": 512})
        client.agreed()
        client.ack(0)
        client.block(1)
        event = running.heard.first(Kind.ENDED)
        assert "last ACK" in event.reason


@pytest.mark.parametrize("window", [1, 4])
def test_crooked_packets_do_not_end_a_transfer(client: Raw, window: int) -> None:
    client.ask("file", {"blksize": 50_000, "windowsize": window})
    client.agreed()
    crooked = [b"", b"\0", b"\0\4", b"\0\4\0", b"\0\x09", b"\0\6x\0", b"\0\3"]
    if client.there != client.door:
        crooked.append(b"\0\1x\0octet\0")
    for packet in crooked:
        client.send(packet)
    client.ack(0)
    assert client.block(1) == CONTENT[:50_000]


def test_there_is_a_limit_to_transfers(shelf: Shelf) -> None:
    with server(shelf, limits=Limits(per_address=2)) as running:
        clients = [running.client() for _ in range(3)]
        for client in clients[:2]:
            client.ask("file")
            client.block(1)
        clients[2].ask("file")
        assert clients[2].error() == Code.UNDEFINED
        clients[0].send(b"\0\5\0\0enough\0")
        running.heard.first(Kind.FAILED)
        assert clients[2].fetch("file") == CONTENT
        for client in clients:
            client.socket.close()


class OnDisk(Files):
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, name: bytes, peer: str) -> Opened:
        fd = os.open(self.path, os.O_RDONLY)
        return Opened(fd=fd, size=os.fstat(fd).st_size, name="file")

    def create(self, name: bytes, peer: str, size: int | None) -> Upload:
        raise Refused(Code.ACCESS_VIOLATION, "read-only")


@pytest.mark.parametrize("change", ["cut short", "written to"])
def test_a_file_that_changes_ends_its_transfer_and_no_other(tmp_path: Path, change: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    with server(OnDisk(path)) as running, running.client() as client:
        client.ask("file")
        client.block(1)
        if change == "cut short":
            os.truncate(path, 1000)
        else:
            with path.open("r+b") as file:
                file.write(b"x")
        number, opcode, rest = 0, DATA, b""
        while opcode == DATA:
            number += 1
            client.ack(number)
            opcode, rest = client.receive()
        assert opcode == ERROR
        assert b"changed" in rest
        client.there = client.door
        assert client.fetch("file") == path.read_bytes()


def test_a_whole_lab_at_once_and_nothing_stays(shelf: Shelf) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with server(shelf, limits=Limits(patience=0.5)) as running:
        clients = [running.client() for _ in range(600)]
        for client in clients:
            client.ask("file", {"windowsize": 4})
        for client in clients:
            client.agreed()
        with running.client() as good:
            assert good.fetch("file", windowsize=16) == CONTENT
        for client in clients:
            client.socket.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    for fd in set(shelf.descriptors):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_what_is_under_way_can_be_seen(shelf: Shelf) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        engine = Engine([listening], shelf)
        thread = threading.Thread(target=engine.run)
        thread.start()
        with Raw(*listening.getsockname()) as client:
            client.ask("file", {"blksize": 40_000})
            client.agreed()
            client.ack(0)
            client.block(1)
            client.ack(1)
            client.block(2)
            (one,) = engine.transfers()
            assert (one.name, one.size, one.sent) == ("file", 100_000, 40_000)
            assert one.rate > 0
            assert engine.totals().begun == 1
            assert engine.totals().bytes_sent == 40_000
            engine.stop()
            thread.join()
            assert client.error() == Code.UNDEFINED
        assert engine.transfers() == []
        assert engine.totals().failed == 1


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("bound", "asked"), [("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")])
def test_both_families(shelf: Shelf, bound: str, asked: str, single: bool) -> None:
    with server(shelf, address=bound, single_port=single) as running:
        with Raw(asked, running.port) as client:
            assert client.fetch("file", windowsize=8, blksize=1400) == CONTENT
            assert client.there[0] == asked
        peer = running.heard.first(Kind.ENDED).peer
        assert peer.startswith("[::1]:" if asked == "::1" else "127.0.0.1:")


@pytest.mark.parametrize("single", [False, True])
def test_the_answer_comes_from_the_address_that_was_asked(shelf: Shelf, single: bool) -> None:
    with (
        server(shelf, address="0.0.0.0", single_port=single) as running,
        Raw("127.0.0.1", running.port) as client,
    ):
        client.there = client.door = ("127.0.0.77", running.port)
        assert client.fetch("file", windowsize=8) == CONTENT
        assert client.there[0] == "127.0.0.77"
        client.there = client.door
        client.ask("none")
        client.error()
        assert client.there[0] == "127.0.0.77"
