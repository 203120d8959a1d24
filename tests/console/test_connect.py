"""Addresses of consoles, what opens, and what is said when one does not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool import console
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConfigError, ConsoleClosed, ConsoleError, ConsoleTimeout

LINE = Line()


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The board's end of a serial line, and the device that is ours."""
    board, ours = os.openpty()
    os.set_blocking(board, False)
    yield board, os.ttyname(ours)
    os.close(ours)
    os.close(board)


@pytest.mark.parametrize("prefix", ["serial:", ""])
def test_a_serial_device(terminal: tuple[int, str], prefix: str) -> None:
    board, device = terminal
    everything = bytes(range(256))
    with closing(console.connect(prefix + device, LINE)) as ours:
        assert ours.read(0) == b""
        os.write(board, everything)
        assert ours.read(5) == everything
        ours.write(everything)
        assert os.read(board, 1000) == everything


def test_a_device_that_nobody_listens_to(
    terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.console.descriptor.STUCK", 0.05)
    with (
        closing(console.connect(terminal[1], LINE)) as ours,
        pytest.raises(ConsoleTimeout, match="took nothing"),
    ):
        ours.write(bytes(1 << 20))


def test_a_device_that_goes_away() -> None:
    board, ours = os.openpty()
    with closing(console.connect(os.ttyname(ours), LINE)) as opened:
        os.close(board)
        os.close(ours)
        with pytest.raises(ConsoleClosed, match="/dev/pts"):
            opened.read(5)
        with pytest.raises(ConsoleClosed):
            opened.write(b"x")
    with pytest.raises(ConsoleClosed):
        opened.read(0)


def test_a_network_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with closing(console.connect(url, LINE)) as ours:
            board = server.accept()[0]
            board.sendall(b"hello")
            assert ours.read(5) == b"hello"
            ours.write(b"and back")
            assert board.recv(100) == b"and back"
            board.close()
            with pytest.raises(ConsoleClosed):
                ours.read(5)


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_a_network_line_that_is_not_there(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConsoleError, match=f"127.0.0.1:{port}"):
        console.connect(f"{scheme}://127.0.0.1:{port}", LINE)


def test_a_process() -> None:
    with closing(console.connect("process:sh -c 'stty -echo; echo ready; cat'", LINE)) as ours:
        assert ours.read(5) == b"ready\r\n"
        ours.write(b"words\n")
        assert ours.read(5) == b"words\r\n"


def test_nothing_of_a_process_is_left(tmp_path: Path) -> None:
    command = f"process:sh -c 'trap \"\" HUP; sleep 1000 & echo $! >{tmp_path}/pid; echo up; wait'"
    with closing(console.connect(command, LINE)) as ours:
        assert ours.read(5) == b"up\r\n"
        process = int((tmp_path / "pid").read_text())
        assert Path(f"/proc/{process}").exists()
    deadline = time.monotonic() + 5  # the kernel takes its time over a SIGKILL
    while _lives(process):
        assert time.monotonic() < deadline


def _lives(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("serail:/dev/ttyUSB0", "did you mean serial:?"),
        ("telnet://localhost:23", "socket://"),
        ("ttyUSB0", "serial:/dev/ttyUSB0"),
        ("serial:", "serial:/dev/ttyUSB0"),
        ("socket://", "socket://"),
        ("", "process:"),
    ],
)
def test_an_address_nobody_understands(url: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        console.connect(url, LINE)
    assert hint in str(caught.value.hint)


def test_no_such_device() -> None:
    with pytest.raises(ConsoleError, match="there is no /dev/ttyUSB77") as caught:
        console.connect("serial:/dev/ttyUSB77", LINE)
    assert "this host has" in str(caught.value.hint)


def test_a_file_that_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConsoleError, match="cannot open"):
        console.connect(f"serial:{tmp_path}/file", LINE)


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


@pytest.mark.root
def test_a_device_that_is_not_ours_to_open(terminal: tuple[int, str]) -> None:
    """As another user, in another process: this one is root."""
    program = (
        "import os, sys; os.setgid(65534); os.setuid(65534);"
        "from rootfs_tool import console; from rootfs_tool.console.base import Line\n"
        "try: console.connect(sys.argv[1], Line())\n"
        "except Exception as error: print(type(error).__name__, error, error.hint)"
    )
    Path(terminal[1]).chmod(0o600)
    importing = f"from rootfs_tool.console import serial, process\n{program}"
    said = subprocess.check_output([sys.executable, "-c", importing, terminal[1]], text=True)
    assert said.startswith(f"ConsoleError you may not open {terminal[1]}")
    assert "usermod -aG dialout" in said
