"""The agent gets to the board whole, whatever happens to what is typed and sent."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.console import connect
from rootfs_tool.console.base import Console
from rootfs_tool.shell import Shell
from rootfs_tool.shell.start import LONGEST_LINE, agent, loader
from rootfs_tool.shell.upload import PART
from tests.shell.boards import LINE, Relay, attached
from tests.shell.line import pty_board
from tests.shell.noise import Faults, Noise

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 41))


class Changes(Relay):
    """Makes one letter of the first line that begins with ``start`` another one."""

    def __init__(self, console: Console, start: bytes) -> None:
        super().__init__(console)
        self._start = start
        self.changed = b""
        self.sent = 0

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        if not self.changed and data.startswith(self._start):
            self.changed = data
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        super().write(data)


def test_no_line_is_longer_than_a_board_takes() -> None:
    """And no text holds what comes between the two copies of a line of it."""
    line = loader("abcdef", "-ixon")
    assert len(line) < LONGEST_LINE
    assert "~" not in line
    assert "@" not in agent()
    assert len("4095,4095:") + PART < LONGEST_LINE


@pytest.mark.parametrize("start", [b" printf", b"rt=", b"0,", b"3900,"])
def test_one_letter_of_it_is_another(program: str, start: bytes) -> None:
    """In the line that is typed, and in the agent: a line of the right length."""
    relays: list[Changes] = []

    def relay(console: Console) -> Console:
        relays.append(Changes(console, start))
        return relays[0]

    with attached(program, relay) as shell:
        assert shell.run("seq 40; exit 3").output == NUMBERS
    assert relays[0].changed
    assert relays[0].sent < 5 * len(agent())  # all of it once more in pieces, each of them twice


class Late(Relay):
    """Nothing of what it says comes for a while, from the first line that begins with ``start``."""

    def __init__(self, console: Console, start: bytes, seconds: float) -> None:
        super().__init__(console)
        self._start = start
        self._seconds = seconds
        self._until = 0.0
        self._held = b""

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self._until and data.startswith(self._start):
            self._until = time.monotonic() + self._seconds

    def read(self, timeout: float) -> bytes:
        self._held += super().read(timeout)
        if time.monotonic() < self._until:
            return b""
        said, self._held = self._held, b""
        return said


@pytest.mark.parametrize("start", [b" printf", b"rt=", b"0,", b"3900,"])
def test_a_board_that_is_slow_to_say_anything(program: str, start: bytes) -> None:
    """What was pressed to wake it is answered too, later, and says nothing of what came since."""
    with attached(program, lambda console: Late(console, start, 1.5)) as shell:
        assert shell.run("seq 40; exit 3").output == NUMBERS
        assert shell._wire.copies == 2  # the line is as good as any


def test_one_byte_in_a_hundred_lost_each_way(tmp_path: Path) -> None:
    noise = Noise(lost=0.01)
    faults = Faults(seed=3, to_board=noise, from_board=noise)
    with (
        pty_board(tmp_path, faults) as line,
        closing(connect(line.path, LINE)) as console,
    ):
        shell = Shell.attach(console, LINE, timeout=60)
        for status in range(2):
            found = shell.run(f"seq 40; exit {status}", timeout=60)
            assert (found.status, found.output) == (status, NUMBERS)
        shell.leave()
        assert line.counts["lost"] > 50
