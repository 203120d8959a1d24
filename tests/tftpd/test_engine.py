"""The rules of the protocol, packet by packet, on real sockets."""

from __future__ import annotations

import random
import socket
import threading

import pytest

from rootfs_tool.tftpd.base import Code, Kind
from rootfs_tool.tftpd.engine import Engine
from tests.tftpd.conftest import CONTENT
from tests.tftpd.raw import ACK, WRQ, Raw, Server, Shelf, server

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


def test_what_came_of_a_transfer_is_told(client: Raw, running: Server) -> None:
    client.fetch("file", blksize=1000, windowsize=2)
    begun, event = running.heard.first(Kind.BEGUN), running.heard.first(Kind.ENDED)
    assert begun.peer == event.peer
    assert (event.name, event.size, event.sent) == ("file", 100_000, 100_000)
    assert (event.blksize, event.windowsize, event.retransmissions) == (1000, 2, 0)
    assert event.note == "for 127.0.0.1"
    assert event.seconds > 0


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
