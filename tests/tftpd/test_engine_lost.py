"""What gets lost, comes twice or late, packet by packet, on real sockets."""

from __future__ import annotations

import pytest

from rootfs_tool.tftpd.base import Kind, Limits
from tests.tftpd.conftest import CONTENT
from tests.tftpd.raw import ACK, DATA, WRQ, Raw, Server, Shelf, server


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


def test_one_who_never_answers_is_given_up_with_a_hint(shelf: Shelf) -> None:
    with server(shelf, limits=Limits(patience=0.3)) as running, running.client() as client:
        client.ask("file")
        client.block(1)
        event = running.heard.first(Kind.FAILED)
        assert str(client.there[1]) in event.hint
        assert "firewall" in event.hint
        assert event.reason == "no answer ever came"


def test_on_one_port_the_last_ack_may_get_lost_too(shelf: Shelf) -> None:
    limits = Limits(patience=0.3)
    with server(shelf, limits=limits, single_port=True) as running, running.client() as client:
        client.ask("empty", {"blksize": 512})
        client.agreed()
        client.ack(0)
        client.block(1)
        event = running.heard.first(Kind.ENDED)
        assert "last ACK" in event.reason
