"""One port and several programs: each sees what the board says, and one of them writes."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rootfs_tool import console
from rootfs_tool.console import guest, share
from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleClosed, ConsoleError
from rootfs_tool.events import Event, listening
from rootfs_tool.shell import Shell
from tests.console.uart import SPEEDS, heard, uart

LINE = Line()

OWNER = """
import sys
from rootfs_tool import console
from rootfs_tool.console import share
from rootfs_tool.console.base import Line
ours = share.offer(console.connect(sys.argv[1], Line()), sys.argv[1])
print("shared", flush=True)
while True:
    data = ours.read(0.1)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@contextmanager
def owner(device: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", OWNER, device], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"shared\n"
            yield child
        finally:
            child.kill()


def read(ours: Console, length: int) -> bytes:
    said = b""
    while len(said) < length and (data := ours.read(5)):
        said += data
    return said


def test_readers_and_a_writer(terminal: tuple[int, str]) -> None:
    board, device = terminal
    notes: list[Event] = []
    everything = bytes(range(256))
    with (
        listening(notes.append),
        owner(device) as child,
        closing(console.connect(device, LINE)) as writer,
        closing(console.connect(f"serial:{device}", LINE)) as reader,
    ):
        assert [f"(process {child.pid})" in note.text for note in notes] == [True, True]
        writer.write(everything)
        assert heard(board, 256) == everything
        os.write(board, everything)
        assert read(writer, 256) == everything
        assert read(reader, 256) == everything
        assert child.stdout is not None
        assert child.stdout.read(256) == everything
        with pytest.raises(ConsoleError, match=rf"written to by \S+ \(process {os.getpid()}\)"):
            reader.write(b"x")
        writer.close()
        _until_taken(reader, b"y")
        assert heard(board, 1) == b"y"
        reader.send_break()
        assert reader.set_baudrate(57600)
        assert SPEEDS[termios.tcgetattr(board)[5]] == 57600


def test_a_shell_on_a_shared_port() -> None:
    with (
        closing(ProcessConsole("dash -i")) as board,
        uart(board, 115200) as line,
        owner(line.device) as child,
        closing(console.connect(line.device, LINE)) as ours,
    ):
        shell = Shell.attach(ours, LINE, timeout=30)
        result = shell.run("seq 2000; exit 3", timeout=30)
        shell.leave()
        assert result.status == 3
        assert result.output == b"".join(b"%d\n" % number for number in range(1, 2001))
        assert child.poll() is None


def _until_taken(ours: Console, data: bytes) -> None:
    """Write as soon as the last writer's leave has been noticed."""
    while True:
        try:
            return ours.write(data)
        except ConsoleError as error:
            if "written to" not in str(error):
                raise


def test_an_owner_that_is_killed(terminal: tuple[int, str]) -> None:
    board, device = terminal
    with owner(device) as child, closing(console.connect(device, LINE)) as ours:
        child.kill()
        child.wait()
        with pytest.raises(ConsoleClosed, match=rf"\(process {child.pid}\), which had {device}"):
            ours.read(5)
        with pytest.raises(ConsoleClosed):
            ours.write(b"x")
    assert guest.address(device).exists()
    with closing(share.offer(console.connect(device, LINE), device)) as ours:
        assert isinstance(ours, share.Shared)
        os.write(board, b"still here")
        assert read(ours, 10) == b"still here"
    assert not guest.address(device).exists()


def test_the_owner_types_and_then_a_guest_may(
    terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board, device = terminal
    with (
        closing(share.offer(console.connect(device, LINE), device)) as ours,
        closing(console.connect(device, LINE)) as visitor,
    ):
        assert share.offer(visitor, device) is visitor
        ours.write(b"typed")
        with pytest.raises(ConsoleError, match="written to by the program that has it open"):
            visitor.write(b"x")
        monkeypatch.setattr(share, "WRITING", 0)
        visitor.write(b"!")
        with pytest.raises(ConsoleError, match=rf"process {os.getpid()}\)"):
            ours.write(b"y")
        assert heard(board, 6) == b"typed!"


def test_a_guest_that_does_not_read_stops_nobody(terminal: tuple[int, str]) -> None:
    board, device = terminal
    block = bytes(1 << 16)
    with (
        closing(share.offer(console.connect(device, LINE), device)) as ours,
        closing(console.connect(device, LINE)) as asleep,
    ):
        for _ in range(100):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(board, rest[:4096]) :]
                assert ours.read(5)
        with pytest.raises(ConsoleClosed):
            read(asleep, 1 << 30)


def test_a_board_that_goes_away_ends_the_guests_too() -> None:
    board, theirs = os.openpty()
    device = os.ttyname(theirs)
    with (
        closing(share.offer(console.connect(device, LINE), device)) as ours,
        closing(console.connect(device, LINE)) as visitor,
    ):
        os.close(theirs)
        os.close(board)
        with pytest.raises(ConsoleClosed, match="has closed"):
            ours.read(5)
        with pytest.raises(ConsoleClosed, match="has ended"):
            visitor.read(5)


def test_programs_and_new_terminals_are_not_shared() -> None:
    with closing(console.connect("exec:cat", LINE)) as program:
        assert share.offer(program, "exec:cat") is program


def test_a_directory_that_others_may_enter_is_not_used(
    terminal: tuple[int, str], tmp_path: Path
) -> None:
    (tmp_path / "rootfs-tool").mkdir(mode=0o755)
    notes: list[Event] = []
    with listening(notes.append), closing(console.connect(terminal[1], LINE)) as ours:
        assert share.offer(ours, terminal[1]) is ours
    assert "is not a directory of yours alone" in notes[0].text
