"""Both ways of a console at once: what is read, what is written, and what goes wrong."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from rootfs_tool.console import connect
from rootfs_tool.console.base import Line
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleClosed, ConsoleTimeout
from rootfs_tool.events import note
from rootfs_tool.terminal.duplex import Duplex, Failed, Item


def taken(duplex: Duplex, whole: Callable[[list[Item]], bool], seconds: float = 20) -> list[Item]:
    """What there is to take, until it is the whole of what is awaited."""
    items: list[Item] = []
    deadline = time.monotonic() + seconds
    while not whole(items):
        left = deadline - time.monotonic()
        assert select.select([duplex.descriptor], [], [], max(0, left))[0], items
        items += duplex.take()
    return items


def has(kind: type, items: list[Item]) -> bool:
    return any(isinstance(item, kind) for item in items)


def test_what_is_kept_is_what_is_seen_and_notes_come_in_between() -> None:
    kept: list[bytes] = []

    def keep(data: bytes) -> None:
        kept.append(data)
        note(f"{len(kept)}")

    with closing(ProcessConsole("sh -c 'stty -echo; echo up; cat'")) as console:
        duplex = Duplex(keep)
        with duplex.noting(), duplex.running(console):
            assert taken(duplex, lambda items: has(bytes, items)) == ["note: 1", b"up\r\n"]
            duplex.send(b"one\n")
            duplex.do(lambda: None, "said")
            seen = taken(duplex, lambda items: len(items) == 3)
            assert not duplex.busy
            assert set(seen) == {"said", "note: 2", b"one\r\n"}
    assert b"".join(kept) == b"up\r\none\r\n"


def test_an_end_is_told_after_all_that_came_before_it() -> None:
    with closing(ProcessConsole("sh -c 'echo last words'")) as console:
        duplex = Duplex(lambda data: None)
        with duplex.noting(), duplex.running(console):
            *said, end = taken(duplex, lambda items: has(Failed, items))
    assert said == [b"last words\r\n"]
    assert isinstance(end, Failed)
    assert end.reading
    assert isinstance(end.error, ConsoleClosed)


def test_a_line_that_takes_nothing_stops_neither_the_reader_nor_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rootfs_tool.console.descriptor.STUCK", 0.2)
    board, ours = os.openpty()
    with closing(connect(os.ttyname(ours), Line())) as console:
        duplex = Duplex(lambda data: None)
        with duplex.noting(), duplex.running(console):
            duplex.send(bytes(1 << 20))
            assert duplex.busy
            os.write(board, b"still here")
            assert taken(duplex, lambda items: has(bytes, items)) == [b"still here"]
            (failed,) = taken(duplex, lambda items: has(Failed, items))
            assert isinstance(failed, Failed)
            assert not failed.reading
            assert isinstance(failed.error, ConsoleTimeout)
    os.close(ours)
    os.close(board)
