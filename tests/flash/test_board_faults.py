"""A board whose card is bad, and whatever else goes wrong while it flashes itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import events
from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConfigError, ConsoleError, DeviceError
from rootfs_tool.events import Event
from tests.flash.cards import MIB, Card
from tests.flash.onboard import NO_TABLE, Start, board_of, flashed, has_table
from tests.shell.boards import Closes, attached

# tftpy leaves the sockets of finished transfers to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")


@pytest.mark.root
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (f"flip {9 * MIB + 70_000}", f"first at byte {(9 * MIB + 70_000) // 512 * 512:,}"),
        (f"wrap {4 * MIB}", "does not hold what was written"),
        (f"drop {8 * MIB}", "does not hold what was written"),
        (f"write-error {9 * MIB}", r"can't write .*: Input/output error"),
        (f"read-error {9 * MIB}", r"can't read its bytes 1,048,576 to 12,.*: Input/output error"),
        ("flip 100", "first at byte 0"),
    ],
)
def test_a_bad_card_is_found_and_left_without_a_table(
    image: Path, bad: Card, board: Start, fault: str, words: str
) -> None:
    bad.fill()
    bad.fault(fault)
    with pytest.raises(DeviceError, match=words) as caught:
        flashed(image, board(), bad.device)
    assert not has_table(bad)
    assert "partition table" in str(caught.value)


@pytest.mark.root
def test_a_card_that_does_not_sync_is_found_before_a_byte(
    image: Path, bad: Card, board: Start
) -> None:
    old = bad.fill()
    bad.fault("sync-error 1")
    with pytest.raises(DeviceError, match=r"Input/output error; nothing was written"):
        flashed(image, board(), bad.device)
    assert bad.content() == old


@pytest.mark.root
def test_an_image_that_is_damaged(image: Path, card: Card, board: Start) -> None:
    card.fill()
    with image.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"?")
    with pytest.raises(ConfigError, match=f"is damaged.*{NO_TABLE}"):
        flashed(image, board(), card.device)
    assert not has_table(card)


@pytest.mark.root
def test_a_console_that_is_lost(image: Path, card: Card, tmp_path: Path) -> None:
    card.fill()

    def relay(console: Console) -> Console:
        return Closes(console, cue=b"flushbufs", words=b"")

    with (
        pytest.raises(ConsoleError, match=NO_TABLE),
        attached(board_of(), relay) as shell,
    ):
        flashed(image, shell, card.device)
    assert not has_table(card)


@pytest.mark.root
def test_ctrl_c_leaves_a_shell_and_no_table(image: Path, card: Card, board: Start) -> None:
    card.fill()
    notes = []

    def interrupt(event: Event) -> None:
        if event.kind == "note":
            notes.append(event.text)
        if event.kind == "progress":
            raise KeyboardInterrupt

    shell = board()
    with events.listening(interrupt), pytest.raises(KeyboardInterrupt):
        flashed(image, shell, card.device)
    assert [NO_TABLE in note for note in notes] == [True]
    assert not has_table(card)
    assert shell.run("echo alive").text == "alive\n"
