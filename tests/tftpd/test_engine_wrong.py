"""Who does what the protocol does not allow, asks for too much, or goes, on real sockets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootfs_tool.tftpd.base import Code, Files, Kind, Limits, Opened, Refused, Upload
from tests.tftpd.conftest import CONTENT, descriptors
from tests.tftpd.raw import DATA, ERROR, WRQ, Raw, Server, Shelf, server


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
    before = descriptors()
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
    assert descriptors() <= before
    for fd in set(shelf.descriptors):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)
