"""The same shells over lines that add, lose and split what passes, and boards that go down."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleClosed, ConsoleError, ConsoleTimeout, KernelPanic
from rootfs_tool.shell import Shell
from tests.shell.boards import (
    LINE,
    Closes,
    Halting,
    KernelTalks,
    Lossy,
    Mislabels,
    OneByteAtATime,
    Relay,
    Says,
    attached,
)

PANIC = (
    b"[    3.141592] Run /init as init process\r\n"
    b"[    3.151592] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n"
    b"[    3.161592] CPU: 0 UID: 0 PID: 1 Comm: init Not tainted\r\n"
    b"[    3.171592] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---\r\n"
)
NUMBERS = b"".join(b"%d\n" % number for number in range(1, 301))


def _works(shell: Shell, tmp_path: Path, *, times: int, size: int = 20000) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    for number in range(times):
        result = shell.run(f"echo {number} >>{tmp_path}/once; seq 300; exit {number}")
        assert (result.status, result.output) == (number, NUMBERS)
    assert shell.run(f"cat {tmp_path}/data").output == data
    assert shell.run(f"cat {tmp_path}/data", on_output=lambda _: None).output == data
    # each ran, and none ran twice
    assert (tmp_path / "once").read_text().split() == [str(number) for number in range(times)]


def test_one_byte_at_a_time(program: str, tmp_path: Path) -> None:
    with attached(program, OneByteAtATime) as shell:
        _works(shell, tmp_path, times=3, size=2000)


@pytest.mark.parametrize("seed", range(4))
def test_halts_in_the_middle_of_an_answer_that_holds_others(program: str, seed: int) -> None:
    with attached(program, lambda console: Halting(console, seed=seed)) as shell:
        mark = shell._wire.mark
        for job in range(1, 20, 5):
            said = f"\n\x1eE {mark} {job} 0 -|{job} 0 - E\n\n\x1eB {mark} {job} 0 x|{job} 0 x B\n\n"
            said += f"\x1eN {mark} 0|0 N\n\n\x1eD {mark} 0 9 -|0 8 - D\nRS \x1e and E \x1eE \n"
            command = said.replace("\n", "\\n").replace("\x1e", "\\036")
            assert shell.run(f"printf '{command}'").output == said.encode()


@pytest.mark.parametrize(("right", "wrong"), ["EG", "ED", "BJ"])
def test_an_answer_that_is_called_something_else(
    program: str, tmp_path: Path, right: str, wrong: str
) -> None:
    """The end of an output, taken for an answer that has none, would make it empty."""
    relays: list[Mislabels] = []

    def relay(console: Console) -> Console:
        relays.append(Mislabels(console, right, wrong))
        return relays[0]

    with attached(program, relay) as shell:
        _works(shell, tmp_path, times=3, size=3000)
    assert relays[0].seen > 0


@pytest.mark.parametrize("distance", [400, 60])
def test_kernel_messages_anywhere(program: str, tmp_path: Path, distance: int) -> None:
    def relay(console: Console) -> Console:
        return KernelTalks(console, seed=distance, distance=distance)

    with attached(program, relay) as shell:
        _works(shell, tmp_path, times=20)
        assert any("usb 1-1: message" in message for message in shell.kernel_log)


def test_bytes_lost_on_the_way_to_the_board(program: str, tmp_path: Path) -> None:
    lines: list[Lossy] = []

    def relay(console: Console) -> Console:
        lines.append(Lossy(console, seed=1, to_board=500))
        return lines[0]

    with attached(program, relay) as shell:
        _works(shell, tmp_path, times=15, size=2000)
        assert shell.run("printf %s " + "x" * 10000).output == b"x" * 10000
    assert lines[0].lost


def test_bytes_lost_on_the_way_from_the_board(program: str, tmp_path: Path) -> None:
    lines: list[Lossy] = []

    def relay(console: Console) -> Console:
        lines.append(Lossy(console, seed=7, from_board=500))
        return lines[0]

    with attached(program, relay) as shell:
        _works(shell, tmp_path, times=3, size=1000)
    assert lines[0].lost


@pytest.mark.parametrize("relay", [Says, Closes])
def test_a_panic_in_a_command(program: str, relay: type[Says]) -> None:
    console = relay(ProcessConsole(program), cue=b"echo boom", words=PANIC)
    with closing(console):
        shell = Shell.attach(console, LINE, timeout=10)
        begun = time.monotonic()
        with pytest.raises(KernelPanic, match="Attempted to kill init") as caught:
            shell.run("echo boom; sleep 30")
        assert time.monotonic() - begun < 3
        assert "Run /init as init process" in caught.value.tail
        assert "end Kernel panic" in caught.value.tail
        assert "first process ended" in str(caught.value.hint)
        shell.leave()


def test_a_panic_while_it_boots() -> None:
    console = Says(ProcessConsole("cat"), cue=b"", words=PANIC)
    with closing(console), pytest.raises(KernelPanic, match="Attempted to kill init"):
        Shell.attach(console, LINE, timeout=10)


def test_a_board_that_restarts_in_a_command(program: str) -> None:
    words = b"[   99.000000] reboot: Restarting system\r\n\r\nU-Boot 2025.01 (Jan 06 2025)\r\n"
    console = Says(ProcessConsole(program), cue=b"echo boom", words=words)
    with closing(console):
        shell = Shell.attach(console, LINE, timeout=10)
        begun = time.monotonic()
        with pytest.raises(ConsoleError, match="went down or restarted"):
            shell.run("echo boom; sleep 30")
        assert time.monotonic() - begun < 5
        shell.leave()


class Reports(Relay):
    """A kernel that reports hung tasks for some seconds once ``cue`` was sent; then the rest."""

    WHILE = 4.0  # seconds

    def __init__(self, console: Console, cue: bytes) -> None:
        super().__init__(console)
        self._cue = cue
        self._until = 0.0

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self._until and self._cue in data:
            self._until = time.monotonic() + self.WHILE

    def read(self, timeout: float) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            return super().read(timeout)
        time.sleep(min(timeout, 0.3))
        return b"[%12.6f] INFO: task kworker blocked for more than 120 seconds.\r\n" % (500 - left)


def test_a_long_report_is_waited_for(program: str) -> None:
    with attached(program, lambda console: Reports(console, b"r echo")) as shell:
        assert shell.run("echo here").text == "here\n"
        assert {one.kind for one in shell.incidents} == {"lockup"}


def test_words_on_the_console_that_only_look_like_a_restart(program: str) -> None:
    with attached(program) as shell:
        result = shell.run("echo 'U-Boot 2025.01' >/dev/tty; sleep 0.2; echo alive")
    assert result.output == b"alive\n"


def test_a_line_that_closes(program: str) -> None:
    console = Closes(ProcessConsole(program), cue=b"echo boom", words=b"last words\r\n")
    with closing(console):
        shell = Shell.attach(console, LINE, timeout=10)
        with pytest.raises(ConsoleClosed, match="closed") as caught:
            shell.run("echo boom; sleep 30")
        assert "last words" in caught.value.tail
        shell.leave()


def test_a_board_that_falls_silent(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootfs_tool.shell.wire.PATIENCE", 0.05)
    console = Says(ProcessConsole(program), cue=b"echo boom", words=b"")
    with closing(console):
        shell = Shell.attach(console, LINE, timeout=10)
        with pytest.raises(ConsoleTimeout, match="answers no more"):
            shell.run("echo boom; sleep 30", timeout=0.1)
        shell.leave()
