"""A console at a boot loader, of a board that is off, or at another rate becomes a shell."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.console import connect
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleError
from rootfs_tool.events import listening
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed
from tests.console.uart import uart
from tests.shell.boards import LINE, attached, script, until
from tests.shell.test_attach import answers

U_BOOT = """
printf 'U-Boot 2025.01\\n\\nHit any key to stop autoboot:  1 '
%s
while :; do
    printf '\\n=> '; read -r line
    case $line in *boot) break ;; *) echo "Unknown command '$line'" ;; esac
done
printf 'Starting kernel ...\\n\\n'
exec sh -i
"""
STOPPED = "read -r _; printf '\\b\\b\\b 0 '"
FELL = "printf '\\b\\b\\b 0 \\n** Booting bootflow\\nBad Linux ARM64 Image magic!\\n'"


def test_u_boot_is_told_to_boot_where_that_is_allowed(tmp_path: Path) -> None:
    console = ProcessConsole(script(tmp_path, "printf '=> '; read -r _\n" + U_BOOT % ":"))
    with closing(console):
        until(console, b"=> ")
        shell = Shell.attach(console, LINE, timeout=20, allowed=Allowed(boot=True))
        assert answers(shell)
        shell.leave()


def test_u_boot_that_found_nothing_says_what_it_tried(tmp_path: Path) -> None:
    with (
        pytest.raises(ConsoleError, match="found nothing that it could boot") as caught,
        closing(ProcessConsole(script(tmp_path, U_BOOT % FELL))) as console,
    ):
        Shell.attach(console, LINE, timeout=20, allowed=Allowed(boot=True))
    assert "Bad Linux ARM64 Image magic!" in caught.value.tail


def test_a_countdown_that_our_own_key_stopped_goes_on(tmp_path: Path) -> None:
    """The board was off: what was typed then waits in its serial port until it counts down."""
    off = "stty -echo; sleep 2; stty echo\n"  # it stays off until a key or two have been pressed
    with attached(script(tmp_path, off + U_BOOT % STOPPED)) as shell:
        assert answers(shell)


def test_a_board_that_is_off_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootfs_tool.shell.login._PAUSES", (0.1, 0.1, 0.1, 0.1))
    notes: list[str] = []
    off = "stty -echo; sleep 3; stty echo; echo '[    0.000000] Linux version 6'; exec sh -i"
    with (
        listening(lambda event: notes.append(event.text)),
        attached(script(tmp_path, off)) as shell,
    ):
        assert answers(shell)
    assert "nothing comes from the board: is it off? waiting" in notes


def test_the_rate_of_the_board_is_found() -> None:
    notes: list[str] = []
    board = ProcessConsole("busybox sh")
    with (
        closing(board),
        uart(board, 57600) as relay,
        closing(connect(relay.device, LINE)) as console,
        listening(lambda event: notes.append(event.text)),
    ):
        shell = Shell.attach(console, LINE, timeout=40)
        assert answers(shell)
        shell.leave()
    assert "the board speaks at 57600 baud, not at 115200: [console] baudrate = 57600" in notes
