"""What is shown, and what a log keeps, however the stream is cut into pieces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootfs_tool.terminal.logfile import LogFile, Strip
from rootfs_tool.terminal.screen import Screen

CODED = (
    b"\x1b[1;31mred\x1b[0m\x1b]0;title\x07 \x1b(B\x1b=\x1bM\x1b[?2004h"
    b"a\x08b\x07\tc\r\n\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1b[6n \xc3\xbc\n"
)


@pytest.fixture
def shown() -> Iterator[tuple[int, Callable[[], bytes]]]:
    read, write = os.pipe()
    yield write, lambda: os.read(read, 65536)
    os.close(read)
    os.close(write)


@given(st.lists(st.integers(0, len(CODED))))
def test_a_log_without_escapes(cuts: list[int]) -> None:
    strip = Strip()
    edges = [0, *sorted(cuts), len(CODED)]
    kept = b"".join(strip.feed(CODED[a:b]) for a, b in pairwise(edges))
    assert kept == b"red ab\tc\nlink \xc3\xbc\n"


def test_an_escape_that_never_ends_does_not_keep_the_rest() -> None:
    strip = Strip()
    strip.feed(b"\x1b]0;")
    assert strip.feed(b"x" * 1000).endswith(b"x" * 1000)


def test_a_log_goes_on_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(2):
        log = LogFile(path, strip=False, stamp=None)
        log.add(b"raw \x1b[1m\r\n")
        assert path.read_bytes().endswith(b"raw \x1b[1m\r\n")
        log.close()
    assert path.read_bytes() == b"raw \x1b[1m\r\n" * 2
    log = LogFile(path, strip=True, stamp="start")
    log.add(b"a\x1b[")
    log.add(b"1mb\r\n")
    log.close()
    assert path.read_bytes().endswith(b"] ab\n")


def test_lines_of_ours_are_lines_of_their_own(shown: tuple[int, Callable[[], bytes]]) -> None:
    write, read = shown
    screen = Screen(write, write, raw=True)
    screen.say("hello\nagain")
    screen.show(b"# ")
    screen.say("note: \x1b[2J")
    screen.show(b"line\r\n")
    screen.say("bye")
    assert read() == b"hello\r\nagain\r\n# \r\nnote: \\x1b[2J\r\nline\r\nbye\r\n"


def test_hexadecimal_and_newlines_that_return(shown: tuple[int, Callable[[], bytes]]) -> None:
    write, read = shown
    screen = Screen(write, write, raw=True)
    screen.new_lines_return = True
    for piece in (b"a\nb\r", b"\nc\n", b"\n"):
        screen.show(piece)
    assert read() == b"a\r\nb\r\nc\r\n\r\n"
    screen.hexadecimal = True
    screen.show(b"\x00\n\xff\n")
    assert read() == b"00 0a\r\nff 0a\r\n"
