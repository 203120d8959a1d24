"""What came from the board, in a file and in an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rootfs_tool.console.tail import Tail
from rootfs_tool.console.transcript import recorded


class Pieces:
    """A console that says these, one at a time."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.sent = b""

    def read(self, timeout: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def send_break(self) -> None:
        self.sent += b"\0"

    def set_baudrate(self, baudrate: int) -> bool:
        return False

    def close(self) -> None:
        self._pieces.clear()


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b"one\r\ntwo\r\n",), ["one", "two"]),
        ((b"o", b"ne\r", b"\ntwo"), ["one", "two"]),
        (
            (
                b"a\r\r",
                b"\nb\n\n",
            ),
            ["a", "b", ""],
        ),
        (("grün".encode()[:3], "grün".encode()[3:] + b"\n"), ["grün"]),
        ((b"\xff\x00\x1b[6n\tx\n",), ["\\xff\\x00\\x1b[6n\tx"]),
        ((b"10%\r20%\r\n",), ["10%\\x0d20%"]),
        ((b"half \xe2",), ["half "]),
    ],
)
def test_lines_with_their_time(tmp_path: Path, pieces: tuple[bytes, ...], lines: list[str]) -> None:
    file = tmp_path / "console.log"
    with recorded(Pieces(*pieces), file) as console:
        while data := console.read(0):
            assert data in pieces
    written = file.read_text()
    assert written.endswith("\n")
    stamped = [re.fullmatch(r"\[ *(\d+\.\d{6})\] (.*)", line) for line in written[:-1].split("\n")]
    assert [match[2] for match in stamped if match] == lines
    assert len(stamped) == len(lines)
    times = [float(match[1]) for match in stamped if match]
    assert times == sorted(times)


def test_it_is_written_as_it_comes(tmp_path: Path) -> None:
    file = tmp_path / "console.log"
    with recorded(Pieces(b"no end yet", b" of it"), file) as console:
        console.read(0)
        assert file.read_text().endswith("] no end yet")
        console.read(0)
        assert file.read_text().endswith("] no end yet of it")
        console.write(b"secret")
    assert "secret" not in file.read_text()


def test_the_tail_has_the_last_lines_and_only_what_the_board_meant() -> None:
    tail = Tail()
    for number in range(100):
        tail.add(b"\x1b[1mline %d\x1b[0m\r\n" % number)
    tail.add(b"\n\x1eE abcdef 1 0 -|1 0 -\n\xff last")
    lines = tail.text().split("\n")
    assert lines[0] == "line 81"
    assert lines[-2:] == ["line 99", "\\xff last"]
    assert len(lines) == 20
