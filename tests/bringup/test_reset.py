"""A break on the console of a booted machine; starting it anew by SysRq, and by its reboot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootfs_tool import manifest
from rootfs_tool.cli.subject import machine
from rootfs_tool.console.base import Console, Line
from rootfs_tool.events import Event, listening
from rootfs_tool.recipe import find
from rootfs_tool.reset import Way, reset
from rootfs_tool.shell import Shell

pytestmark = pytest.mark.qemu

Board = tuple[Console, Line]

# A machine's last line may go with it; the first of the next start is as good a sign.
ENDED = re.compile(r"sysrq: Resetting|reboot: Restarting system$|Booting Linux on physical CPU")


@pytest.fixture(scope="module")
def board(out: Path) -> Iterator[Board]:
    """A machine that starts again, as a board does."""
    recipe, _ = find(str(out))
    line = recipe.board.console
    with machine(recipe).boot(manifest.load(out), line, reboots=True) as console:
        yield console, line


def on(board: Board, command: str) -> None:
    console, line = board
    shell = Shell.attach(console, line, timeout=120)
    assert shell.run(command).status == 0
    shell.leave()


def test_a_break_is_sysrq_to_its_kernel(board: Board) -> None:
    on(board, "echo 1 >/proc/sys/kernel/sysrq")
    console, _ = board
    assert console.set_baudrate(9600) is False
    console.send_break()
    console.write(b"h")
    said = b""
    while b"sysrq: HELP" not in said:
        more = console.read(10)
        assert more, said
        said += more


def test_by_sysrq_over_a_break(board: Board) -> None:
    on(board, "echo 438 >/proc/sys/kernel/sysrq")
    done = reset(*board)
    assert done.way is Way.SYSRQ
    assert ENDED.search(done.said)


def test_by_reboot_where_sysrq_is_forbidden(board: Board) -> None:
    on(board, "echo 48 >/proc/sys/kernel/sysrq")  # sync and remount, but no reboot
    said: list[Event] = []
    with listening(said.append):
        done = reset(*board)
    (why,) = [event.text for event in said if event.kind == "note"]
    assert "This sysrq operation is disabled" in why
    assert done.way is Way.REBOOT
    assert ENDED.search(done.said)
