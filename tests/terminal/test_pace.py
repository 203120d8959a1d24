"""What goes out when, against a board with a small FIFO that echoes in its own time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rootfs_tool.terminal.pace import FIFO, FIRST, STALLED, Delays, Pace

LINES = st.text(alphabet="ab ü\t\x1b\r\n", max_size=200).map(str.encode)


def drained(pace: Pace, step: float) -> list[tuple[float, bytes]]:
    """Each piece and when it went, to a board that says nothing."""
    now, gone = 0.0, []
    while (wait := pace.wait(now)) is not None:
        now += max(wait, step)
        gone.append((now, pace.due(now)))
    return [(when, piece) for when, piece in gone if piece]


@given(LINES, st.lists(st.integers(1, 20), min_size=1, max_size=20))
@settings(deadline=None)
def test_never_more_than_the_fifo_holds_and_all_of_it_in_order(
    text: bytes, takes: list[int]
) -> None:
    """The board takes as many bytes at a time as ``takes`` says, and echoes those that it can."""
    pace = Pace(115200, Delays())
    pace.add(text)
    fifo, arrived, now = b"", b"", 0.0
    while pace.waiting or fifo:
        sent = pace.due(now)
        fifo += sent
        assert len(fifo) <= FIFO or not plain(fifo)
        assert b"\n" not in fifo[:-1].replace(b"\r\n", b"") or not plain(fifo)
        take = takes[len(arrived) % len(takes)]
        taken, fifo = fifo[:take], fifo[take:]
        arrived += taken
        pace.heard(b"<4>" * (take % 2) + taken.replace(b"\r", b"\r\n"), now)
        now += 0.01
    assert arrived == text
    assert not pace.deaf


def plain(data: bytes) -> bool:
    """Whether all of it comes back as it is."""
    return all(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in data)


def test_who_does_not_echo_gets_it_at_half_the_rate() -> None:
    pace = Pace(9600, Delays())
    text = b"0123456789abcdef" * 100
    pace.add(text)
    gone = drained(pace, 0.0)
    assert pace.deaf
    assert b"".join(piece for _, piece in gone) == text
    assert gone[1][0] - gone[0][0] >= FIRST
    rates = [len(piece) / (after - when) for (when, piece), (after, _) in pairwise(gone[2:])]
    assert all(abs(rate - 9600 / 10 / 2) < 1 for rate in rates)


def test_who_echoed_before_may_stop_to_think() -> None:
    pace = Pace(115200, Delays())
    pace.add(b"line\n" * 2)
    assert pace.due(0.0) == b"line\n"
    pace.heard(b"line\r\n", 0.0)
    assert pace.due(0.0) == b"line\n"
    pace.add(b"more\n")
    assert pace.due(FIRST + 0.1) == b""
    assert pace.wait(FIRST) == STALLED - FIRST
    assert not pace.deaf
    pace.heard(b"line\r\n", FIRST)
    assert pace.due(FIRST) == b"more\n"


def test_a_line_that_was_stuck_is_not_taken_for_a_board_that_does_not_echo() -> None:
    pace = Pace(115200, Delays())
    pace.add(b"a\nb\n")
    assert pace.due(0.0) == b"a\n"
    pace.sent(30.0)
    assert pace.due(30.5) == b""
    assert not pace.deaf


def test_a_paste_in_brackets_waits_for_no_echo() -> None:
    pace = Pace(115200, Delays())
    pace.add(b"\x1b[200~one\rtwo, which is longer\r\x1b[201~")
    gone = drained(pace, 0.0)
    assert gone[-1][0] < FIRST
    assert all(len(piece) <= FIFO for _, piece in gone)


def test_delays_that_were_asked_for() -> None:
    pace = Pace(115200, Delays(character=0.25))
    pace.add(b"abc")
    assert [(when - 0.0, piece) for when, piece in drained(pace, 0.0)] == [
        (0.0, b"a"),
        (0.25, b"b"),
        (0.5, b"c"),
    ]
    pace = Pace(115200, Delays(line=0.5))
    pace.add(b"first\nsecond\r\nthird")
    assert [piece for _, piece in drained(pace, 0.0)] == [b"first\n", b"second\r", b"\n", b"third"]


def test_what_waits_can_be_given_up_and_pacing_turned_off() -> None:
    pace = Pace(115200, Delays())
    pace.add(b"x" * 100)
    pace.due(0.0)
    assert pace.discard() == 100 - FIFO
    assert (pace.waiting, pace.wait(0.0)) == (0, None)
    pace.on = False
    pace.add(b"y" * 1000)
    assert pace.due(0.0) == b"y" * 1000
