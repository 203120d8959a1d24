"""What each board has from a directory, and by which names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd.base import Code, Refused
from rootfs_tool.tftpd.directory import Directory
from rootfs_tool.tftpd.names import rule

PEER = "192.0.2.7"


@pytest.fixture
def boards(root: Path) -> Iterator[Directory]:
    (root / "1a2b3c4d").mkdir()
    (root / "1a2b3c4d" / "start4.elf").write_bytes(b"its own")
    (root / "start4.elf").write_bytes(b"everybody's")
    with closing(Directory(root)) as directory:
        yield directory


def test_a_raspberry_pi_has_its_own_files_or_everybody_s(boards: Directory) -> None:
    own = boards.open(b"1a2b3c4d/start4.elf", PEER)
    other = boards.open(b"deadbeef/start4.elf", PEER)
    by_mac = boards.open(b"dc-a6-32-01-02-03/start4.elf", PEER)
    assert [os.read(one.fd, 100) for one in (own, other, by_mac)] == [
        b"its own",
        b"everybody's",
        b"everybody's",
    ]
    assert own.note == "Raspberry Pi 1a2b3c4d"
    assert (other.note, other.name) == ("Raspberry Pi deadbeef", "start4.elf")
    assert by_mac.note == "Raspberry Pi dc-a6-32-01-02-03"
    for one in (own, other, by_mac):
        os.close(one.fd)


def test_a_board_with_a_directory_gets_nothing_of_the_others(boards: Directory) -> None:
    with pytest.raises(Refused) as refused:
        boards.open(b"1a2b3c4d/file", PEER)
    assert refused.value.code is Code.NOT_FOUND


def test_a_name_of_terminal_escapes_is_told_in_words(boards: Directory, root: Path) -> None:
    (root / "\x1b[2Jfile").touch()
    opened = boards.open(b"\x1b[2Jfile", PEER)
    os.close(opened.fd)
    assert opened.name == r"\x1b[2Jfile"


def test_a_mapped_name_can_leave_no_more_than_another(root: Path) -> None:
    with (
        closing(Directory(root, rules=[rule("^boot/=../outside/")])) as directory,
        pytest.raises(Refused) as refused,
    ):
        directory.open(b"boot/secret.txt", PEER)
    assert refused.value.code is Code.ACCESS_VIOLATION


def test_what_is_no_directory_is_said(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"no directory to serve: .*file"):
        Directory(root / "file")


def test_nothing_may_be_written_unless_said(boards: Directory) -> None:
    with pytest.raises(Refused) as refused:
        boards.create(b"new", PEER, None)
    assert refused.value.code is Code.ACCESS_VIOLATION
