"""Requests taken apart, and numbers on the wire."""

from __future__ import annotations

import pytest

from rootfs_tool.tftpd import netascii, options, packet
from rootfs_tool.tftpd.base import Code, Refused
from rootfs_tool.tftpd.options import Agreed
from rootfs_tool.tftpd.packet import Request


def test_a_request_has_a_name_a_mode_and_options() -> None:
    got = packet.request(b"\0\1a/b\0OcTet\0BlkSize\x001428\0tsize\x000\0")
    assert got == Request(
        write=False, name=b"a/b", netascii=False, options=((b"blksize", b"1428"), (b"tsize", b"0"))
    )
    assert packet.request(b"\0\2x\0netascii\0") == Request(write=True, name=b"x", netascii=True)


@pytest.mark.parametrize(
    ("rest", "options"),
    [
        (b"blksize\0", ()),
        (b"blksize", ()),
        (b"blksize\x001024", ()),
        (b"tsize\x000\0rubbish without an end", ((b"tsize", b"0"),)),
        (b"tsize\x000\0TSIZE\x001\0", ((b"tsize", b"0"),)),
        (b"\0\0\0", ((b"", b""),)),
    ],
)
def test_what_is_no_whole_option_is_passed_over(
    rest: bytes, options: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert packet.request(b"\0\1x\0octet\0" + rest).options == options


@pytest.mark.parametrize(
    "crooked",
    [
        b"",
        b"\0\1",
        b"\0\1\0",
        b"\0\1name",
        b"\0\1name\0",
        b"\0\1name\0octet",
        b"\0\1name\0mail\0",
        b"\0\1name\0\xff\xfe\0",
        b"\0\3\0\1name\0octet\0",
        b"\0\1" + b"x" * 3000 + b"\0octet\0",
    ],
)
def test_a_crooked_request_is_an_illegal_operation(crooked: bytes) -> None:
    with pytest.raises(Refused) as caught:
        packet.request(crooked)
    assert caught.value.code is Code.ILLEGAL_OPERATION
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    ("rollover", "numbers"), [(0, [65534, 65535, 0, 1]), (1, [65534, 65535, 1, 2])]
)
def test_block_numbers_roll_over(rollover: int, numbers: list[int]) -> None:
    blocks = range(65534, 65538)
    assert [packet.wire(block, rollover) for block in blocks] == numbers
    headers = packet.headers(65534, 4, rollover)
    assert headers == [b"\0\3" + number.to_bytes(2, "big") for number in numbers]
    for before in blocks:
        for after in blocks:
            if after >= before:
                got = packet.wire(after, rollover)
                assert packet.ahead(got, before, rollover) == after - before


def test_the_zero_that_is_left_out_is_no_block() -> None:
    assert packet.ahead(0, 0, 1) == 0
    assert packet.ahead(0, 65535, 1) == -1


def agreed(*asked: tuple[bytes, bytes], write: bool = False, mtu: int = 1468) -> Agreed:
    request = Request(write=write, name=b"x", netascii=False, options=asked)
    return options.agree(request, size=None if write else 1000, window=64, carries=lambda: mtu)


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("blksize", "8", 8),
        ("blksize", "7", None),
        ("blksize", "0", None),
        ("blksize", "-1", None),
        ("blksize", "", None),
        ("blksize", " 1024", None),
        ("blksize", "1024.5", None),
        ("blksize", "abc", None),
        ("blksize", "65464", 65464),
        ("blksize", "65465", 65464),
        ("blksize", "70000", 65464),
        ("blksize", "9" * 20, None),
        ("blksize", "9" * 500, None),
        ("windowsize", "0", None),
        ("windowsize", "1", 1),
        ("windowsize", "16", 16),
        ("windowsize", "65535", 64),
        ("windowsize", "65536", None),
        ("timeout", "0", None),
        ("timeout", "1", 1),
        ("timeout", "255", 255),
        ("timeout", "256", None),
        ("tsize", "0", 1000),
        ("tsize", "abc", None),
        ("tsize", "-1", None),
        ("rollover", "0", 0),
        ("rollover", "1", 1),
        ("rollover", "2", None),
        ("multicast", "", None),
    ],
)
def test_an_option_is_answered_or_passed_over(key: str, value: str, answer: int | None) -> None:
    got = agreed((key.encode(), value.encode())).oack
    assert got == (b"" if answer is None else b"\0\6%s\0%d\0" % (key.encode(), answer))


def test_options_are_answered_in_their_order() -> None:
    got = agreed((b"tsize", b"0"), (b"unknown", b"1"), (b"blksize", b"1024"))
    assert got.oack == b"\0\6tsize\x001000\0blksize\x001024\0"
    assert agreed((b"tsize", b"77"), write=True).oack == b"\0\6tsize\x0077\0"


def test_only_blocks_in_a_window_must_fit_into_a_packet() -> None:
    large = (b"blksize", b"8192")
    assert agreed(large).blksize == 8192
    assert agreed(large, (b"windowsize", b"1")).blksize == 8192
    assert agreed(large, (b"windowsize", b"4")).blksize == 1468
    assert agreed((b"blksize", b"1024"), (b"windowsize", b"4")).blksize == 1024
    assert agreed((b"windowsize", b"4"), mtu=68).blksize == 512


def test_a_window_fits_into_the_buffer_of_a_socket() -> None:
    wide = agreed((b"blksize", b"65464"), (b"windowsize", b"64"), mtu=65500)
    assert (wide.blksize, wide.windowsize) == (65464, 4)


def test_netascii_there_and_back() -> None:
    text = b"one\ntwo\r\nthree\r\r\nfour\r"
    assert netascii.encode(text) == b"one\r\ntwo\r\0\r\nthree\r\0\r\0\r\nfour\r\0"
    for size in range(1, 9):
        decoder = netascii.Decoder()
        wire = netascii.encode(text)
        pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
        assert b"".join(map(decoder.decode, pieces)) + decoder.decode(b"", last=True) == text


def test_a_cr_that_nothing_follows_is_a_cr() -> None:
    decoder = netascii.Decoder()
    assert decoder.decode(b"a\r") + decoder.decode(b"b\r", last=True) == b"a\rb\r"
