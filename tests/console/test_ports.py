"""Who has a port, and that only one program gets it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool import console
from rootfs_tool.console import ports
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConsoleError

LINE = Line()


def test_a_device_in_use_names_who_has_it(terminal: tuple[int, str]) -> None:
    other = (
        "import sys, time, serial; port = serial.Serial(sys.argv[1], exclusive=True);"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", other, terminal[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(ConsoleError, match=rf"in use by \S+ \(process {holder.pid}\)"):
            console.connect(terminal[1], LINE)


def test_a_program_that_is_being_started_has_nothing_yet() -> None:
    """By another thread: until it is another program it has all that we have open."""
    other_end = "import os, sys; print(os.ttyname(os.openpty()[1]), flush=True); sys.stdin.read()"

    def start() -> None:
        subprocess.run(["true"], preexec_fn=lambda: time.sleep(0.5), check=True)

    starting = threading.Thread(target=start)
    with subprocess.Popen(
        [sys.executable, "-c", other_end], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as board:
        assert board.stdout is not None
        device = board.stdout.readline().strip()
        with closing(console.connect(device, LINE)):
            starting.start()
            while starting.is_alive():
                assert ports.holder(device) is None
        assert board.stdin is not None
        board.stdin.close()


def holding(program: str, device: str) -> subprocess.Popen[bytes]:
    """A Python program that does it to the device ``path`` until its stdin ends."""
    text = f"import sys; path = sys.argv[1]\n{program}\nprint(flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", text, device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"\n"
    return child


@pytest.mark.parametrize(
    "program",
    [
        "file = open(path)",
        # TIOCSCTTY, as a getty does: everybody may read whose terminal it is
        "import fcntl, os; fd = os.open(path, os.O_RDWR); fcntl.ioctl(fd, 21518, 0); os.close(fd)",
    ],
    ids=["open, without a lock", "controlling terminal"],
)
def test_a_device_that_another_program_reads(terminal: tuple[int, str], program: str) -> None:
    with (
        holding(program, terminal[1]) as child,
        pytest.raises(ConsoleError, match=rf"in use by \S+ \(process {child.pid}\)"),
    ):
        console.connect(terminal[1], LINE)
    with closing(console.connect(terminal[1], LINE)):
        pass


def test_a_lock_file_of_another_program(
    terminal: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.console.ports._LOCKS", tmp_path)
    lock = tmp_path / f"LCK..{Path(terminal[1]).name}"
    with holding("", terminal[1]) as child:
        lock.write_text(f"{child.pid:10d} minicom root\n")
        with pytest.raises(ConsoleError, match=rf"in use by \S+ \(process {child.pid}\)"):
            console.connect(terminal[1], LINE)
    with closing(console.connect(terminal[1], LINE)):  # that program has ended
        pass


def test_a_simulator_that_keeps_our_end_open_too(tmp_path: Path) -> None:
    simulator = "import os; board, ours = os.openpty(); os.symlink(os.ttyname(ours), path)"
    link = tmp_path / "board"
    with holding(simulator, str(link)), closing(console.connect(os.path.realpath(link), LINE)):
        pass


def test_while_we_have_it_nobody_else_opens_it(
    terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.console.ports.PSEUDO", "/nowhere")  # as if it were a real one
    Path(terminal[1]).chmod(0o666)
    plainly = "os.close(os.open(sys.argv[1], os.O_RDWR))"
    with closing(console.connect(terminal[1], LINE)):
        assert "Device or resource busy" in as_nobody(terminal[1], plainly)
    assert as_nobody(terminal[1], plainly) == "opened"


@pytest.mark.root
def test_a_device_that_another_user_has_locked(terminal: tuple[int, str]) -> None:
    """Where neither its descriptors nor its name can be read: only the kernel knows."""
    other = "import fcntl; file = open(path); fcntl.flock(file, fcntl.LOCK_EX)"
    with holding(other, terminal[1]) as child:
        said = as_nobody(terminal[1])
    assert said.startswith(f"ConsoleError {terminal[1]} is in use by")
    assert str(child.pid) in said


@pytest.mark.root
def test_a_device_that_is_not_ours_to_open(terminal: tuple[int, str]) -> None:
    Path(terminal[1]).chmod(0o600)
    said = as_nobody(terminal[1])
    assert said.startswith(f"ConsoleError you may not open {terminal[1]}")
    assert "usermod -aG dialout" in said


def as_nobody(device: str, opening: str = "console.connect(sys.argv[1], Line())") -> str:
    """What a user who is not root is told, in another process."""
    program = (
        "import os, sys; from rootfs_tool import console\n"
        "from rootfs_tool.console import guest, ports, reopen, serial\n"
        "from rootfs_tool.console.base import Line\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try: {opening}; print('opened')\n"
        "except Exception as error: print(type(error).__name__, error, getattr(error, 'hint', ''))"
    )
    argv = [sys.executable, "-c", program, device]
    return subprocess.check_output(argv, text=True).strip()
