"""``rootfs-tool run`` on a real terminal, and the terminal afterwards."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bringup.test_qemu import wait_for_child
from tests.command import PROGRAM, rootfs_tool

pytestmark = pytest.mark.qemu


@contextmanager
def on_a_terminal(out: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """``run`` with a pty of ours as its terminal: the process, our end, its end."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", PROGRAM, "run", out], stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        try:
            yield running, ours, theirs
        finally:
            running.kill()
            os.close(ours)
            os.close(theirs)


def until(terminal: int, mark: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 60
    while mark not in seen:
        assert select.select([terminal], [], [], deadline - time.monotonic())[0], seen
        seen += os.read(terminal, 65536)
    return seen


def ended(running: subprocess.Popen[bytes], terminal: int) -> int:
    """Its exit status; what it still writes is read, or it could never write it."""
    deadline = time.monotonic() + 30
    while running.poll() is None:
        assert time.monotonic() < deadline
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)
    return running.returncode


def test_it_says_how_to_leave_and_ctrl_a_x_does(out: Path) -> None:
    with on_a_terminal(out) as (running, terminal, theirs):
        before = termios.tcgetattr(theirs)
        assert b"Ctrl-A then X" in until(terminal, b"# ")
        os.write(terminal, b"echo mar''ked; \r")
        until(terminal, b"\nmarked")
        os.write(terminal, b"\x01x")
        assert ended(running, terminal) == 0
        assert termios.tcgetattr(theirs) == before


def test_the_terminal_is_whole_again_after_qemu_was_killed(out: Path) -> None:
    with on_a_terminal(out) as (running, terminal, theirs):
        before = termios.tcgetattr(theirs)
        until(terminal, b"# ")
        assert termios.tcgetattr(theirs) != before
        (qemu,) = wait_for_child(running.pid)
        os.kill(qemu, signal.SIGKILL)
        assert ended(running, terminal) != 0
        assert termios.tcgetattr(theirs) == before


def test_ctrl_c_is_the_board_s(out: Path) -> None:
    with on_a_terminal(out) as (running, terminal, _):
        until(terminal, b"# ")
        # In a process of its own, which is in the foreground before it says so.
        os.write(terminal, b"sh -c \"echo slee''ping; exec sleep 1000\"\r")
        until(terminal, b"\nsleeping")
        os.write(terminal, b"\x03")
        os.write(terminal, b"echo sta''tus $?\r")
        until(terminal, b"\nstatus 130")
        os.write(terminal, b"poweroff\r")
        assert ended(running, terminal) == 0


def test_a_board_without_a_qemu_machine_is_said() -> None:
    ran = rootfs_tool("run", "raspberrypi4")
    assert ran.status == 2
    assert "raspberrypi4 has no QEMU machine" in ran.stderr
    assert "--console serial:" in ran.stderr
