"""What a transfer learns of the network it is on."""

from __future__ import annotations

import socket

import pytest

from rootfs_tool.tftpd.door import Door
from rootfs_tool.tftpd.image import Images, Octet
from rootfs_tool.tftpd.link import SharedPort
from rootfs_tool.tftpd.options import Agreed
from rootfs_tool.tftpd.read import steps
from rootfs_tool.tftpd.session import LEAST_RTO, LONGEST_RTO, Rto, Session
from tests.tftpd.raw import Shelf


def a_session(listening: socket.socket, windowsize: int) -> Session:
    peer = listening.getsockname()
    session = Session(
        peer="", address="", name="", write=False, key=(Door(listening), peer), asked=b""
    )
    session.link = SharedPort(listening, peer, [])
    session.agreed = Agreed(windowsize=windowsize)
    session.rto = Rto(None)
    return session


@pytest.mark.parametrize("windowsize", [1, 2])
def test_the_round_trip_is_measured_again_after_each_loss(windowsize: int) -> None:
    images = Images()
    image = images.open(Shelf(file=bytes(100_000)).open(b"file", ""))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        session = a_session(listening, windowsize)
        going = steps(session, Octet(images, image, 512, windowsize, 0))
        next(going)
        going.send(None)  # the timer
        going.send(b"\0\4" + windowsize.to_bytes(2, "big"))
        assert not session.rto.round_trip  # of a packet sent twice nobody knows which was answered
        going.send(b"\0\4" + (2 * windowsize).to_bytes(2, "big"))
        assert session.rto.round_trip
        assert session.retransmissions == windowsize
        going.close()
    images.close(image)


def test_the_timer_follows_the_round_trip_between_its_bounds() -> None:
    rto = Rto(None)
    for _ in range(50):
        rto.sample(0.0001)
    assert rto.seconds == LEAST_RTO
    for _ in range(50):
        rto.sample(1.0)
    assert 1.0 < rto.seconds < 1.5
    assert rto.after(1) == 2 * rto.seconds
    assert rto.after(30) == LONGEST_RTO
    fixed = Rto(3)
    fixed.sample(0.1)
    assert fixed.after(5) == 3.0


def test_rows_are_shared_and_kept_within_their_room() -> None:
    images = Images(kept=100_000)
    data = bytes(range(256)) * 4000
    image = images.open(Shelf(file=data).open(b"file", ""))
    one, other = Octet(images, image, 512, 1, 0), Octet(images, image, 512, 1, 0)
    first = one.pairs(0)
    assert other.pairs(0) is first
    got = b"".join(packet[4:] for index in range(32) for packet, _ in one.pairs(index))
    assert got == data
    assert other.pairs(31) is one.pairs(31)
    assert other.pairs(0) is not first  # it had to go
    images.close(image)
