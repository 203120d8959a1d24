"""Wrong rates: what they look like, and that the right one is found."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import permutations

import pytest

from rootfs_tool import console
from rootfs_tool.console import baud
from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.process import ProcessConsole
from tests.console.uart import received, uart

BOOT = b"".join(
    b"[%12.6f] %s\r\n" % (number / 7, words)
    for number, words in enumerate(
        (
            b"Booting Linux on physical CPU 0x0000000000 [0x410fd034]",
            b"Machine model: Raspberry Pi 3 Model B",
            b"Memory: 483328K/524288K available (16384K kernel code, 2442K rwdata)",
            b"3f201000.serial: ttyAMA0 at MMIO 0x3f201000 (irq = 114, base_baud = 0) is a PL011",
            b"EXT4-fs (mmcblk0p2): mounted filesystem with ordered data mode. Opts: (null)",
        )
        * 12
    )
)


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


@pytest.mark.parametrize("board", baud.RATES)
def test_another_rate_makes_garbage_of_a_boot(board: int) -> None:
    for ours in set(baud.RATES) - {board}:
        seen = received(BOOT, board, ours)
        assert baud.garbled(seen), f"{board} read at {ours}"
        assert baud.garbled(seen[:60]), f"the start of {board} read at {ours}"


def test_a_prompt_of_a_much_slower_board_is_garbage_too() -> None:
    seen = b"".join(received(bytes([character]), 9600, 115200) for character in b"\r\n# ")
    assert len(seen) < 24
    assert baud.garbled(seen)


def test_the_same_rate_does_not() -> None:
    assert received(noise(1000), 9600, 9600) == noise(1000)


@pytest.mark.parametrize(
    "said",
    [
        BOOT,
        b"\r\r\n\x1b[1;32mroot@board\x1b[0m:~# \x1b[6n" * 3,
        "Überspannung an Gerät 3 — größer als 5 V\r\n日本語の長い行、文字化けではない\r\n".encode(),
        b"\n\x1eB kqxz 7 0 d41d8cd98f00b204e9800998ecf8427e|7 0 d41d8cd9\n" + noise(3000),
        BOOT + noise(3000),
        noise(20),
        b"",
    ],
    ids=["boot", "prompts", "utf-8", "binary body", "binary after a boot", "too short", "nothing"],
)
def test_text_and_what_is_too_short_is_not_garbled(said: bytes) -> None:
    assert not baud.garbled(said)


LINE = Line()


def found(board_command: str, rate: int, configured: int) -> tuple[int | None, bytes, bytes]:
    """The rate that is found, what came at it afterwards, and what the board heard before."""
    line = Line(baudrate=configured)
    with (
        closing(ProcessConsole(board_command)) as board,
        uart(board, rate) as relay,
        closing(console.connect(relay.device, line)) as ours,
    ):
        answer = baud.search(ours, configured, time.monotonic() + 60)
        heard = relay.heard
        ours.write(b"echo $((6 * 7))\n")
        said = until(ours, b"42\r\n") if answer else b""
        assert relay.host_rate == (answer or configured)
        return answer, said, heard


def until(ours: Console, words: bytes) -> bytes:
    said = b""
    deadline = time.monotonic() + 30
    while words not in said and time.monotonic() < deadline:
        said += ours.read(1)
    return said


@pytest.mark.parametrize("configured", [115200, 9600])
def test_the_rate_of_a_silent_shell_is_found(configured: int) -> None:
    rates = [rate for rate in baud.RATES if rate != configured]
    with ThreadPoolExecutor(len(rates)) as pool:
        answers = list(pool.map(lambda rate: found("dash -i", rate, configured), rates))
    assert [answer for answer, _, _ in answers] == rates
    assert all(b"42\r\n" in said for _, said, _ in answers)


def test_a_board_that_talks_hears_nothing() -> None:
    talks = """sh -c 'while :; do echo "[ 7.000001] usb 1-1: a new device"; sleep 0.02; done'"""
    with (
        closing(ProcessConsole(talks)) as board,
        uart(board, 1500000) as relay,
        closing(console.connect(relay.device, LINE)) as ours,
    ):
        assert baud.search(ours, 115200, time.monotonic() + 60) == 1500000
        assert relay.heard == b""


def test_a_rate_that_is_not_found_is_not_kept() -> None:
    answer, _, _ = found("sh -c 'stty raw -echo; sleep 1000'", 57600, 115200)
    assert answer is None


def test_no_key_of_a_wrong_rate_does_harm() -> None:
    """Interrupt, end of file, quit, suspend, and the signs of the shell that write or run."""
    harmful = set(b"\x03\x04\x1c\x1a;&|>`")
    for ours, board in permutations(baud.RATES, 2):
        assert not harmful & set(received(b"\n", ours, board)), f"{ours} to {board}"
