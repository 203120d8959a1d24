"""Packets that a server must survive: crooked, and nearly right."""

from __future__ import annotations

from hypothesis import strategies as st

ACK, ERROR = b"\0\4", b"\0\5"

NUMBERS = st.one_of(
    st.integers(-2, 70_000),
    st.sampled_from([2**16, 2**31, 2**32, 2**63, 2**64, 10**19, 10**20]),
).map(lambda number: str(number).encode())
VALUES = st.one_of(NUMBERS, st.sampled_from([b"", b"abc", b"1024.5", b" 512", b"+8"]), st.binary())
OPTIONS = st.sampled_from(
    [b"blksize", b"BLKSIZE", b"windowsize", b"timeout", b"tsize", b"rollover", b"multicast", b""]
)
NAMES = st.one_of(
    st.sampled_from([b"file", b"empty", b"directory", b"fifo", b"loop", b"outside", b"none"]),
    st.sampled_from([b"../../etc/passwd", b"/etc/passwd", b"..\\file", b"", b".", b"/", b"a/b"]),
    st.binary(max_size=40),
    st.just(b"x" * 60_000),
)
MODES = st.sampled_from([b"octet", b"OCTET", b"netascii", b"mail", b"", b"\xff"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """An RRQ or WRQ, whole or cut off somewhere."""
    options = draw(st.lists(st.tuples(OPTIONS, VALUES), max_size=6))
    fields = [draw(NAMES), draw(MODES), *(field for option in options for field in option)]
    packet = draw(st.sampled_from([b"\0\1", b"\0\2"])) + b"".join(field + b"\0" for field in fields)
    return packet[: draw(st.integers(0, len(packet)))] if draw(st.booleans()) else packet


WORDS = st.integers(0, 65535).map(lambda number: number.to_bytes(2))
LATER = st.one_of(  # what may come in a transfer
    st.tuples(st.sampled_from([b"\0\3", ACK, ERROR, b"\0\6"]), WORDS, st.binary()).map(b"".join),
    st.tuples(WORDS, st.binary(max_size=8)).map(b"".join),
    st.sampled_from([b"", b"\0", b"\0\4\0", b"\0\3", b"\0\5", b"\0\3\0\1" + b"x" * 60_000]),
)
PACKETS = st.one_of(requests(), LATER, st.binary(max_size=600))
# A client that sends one of these goes on: neither an ACK nor an ERROR.
CROOKED = st.one_of(PACKETS, st.just(b"\0\4\0")).filter(
    lambda packet: (len(packet) < 4 and packet[:2] != ERROR) or packet[:2] not in (ACK, ERROR)
)
