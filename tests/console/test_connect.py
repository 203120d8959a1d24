"""Addresses of consoles, what opens, and what is said when one does not."""

from __future__ import annotations

import os
import socket
import termios
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from rootfs_tool import console
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConfigError, ConsoleClosed, ConsoleError, ConsoleTimeout
from rootfs_tool.events import Event, listening
from tests.console.uart import heard

LINE = Line()


@pytest.mark.parametrize("prefix", ["serial:", ""])
def test_a_serial_device(terminal: tuple[int, str], prefix: str) -> None:
    board, device = terminal
    everything = bytes(range(256))
    with closing(console.connect(prefix + device, LINE)) as ours:
        assert ours.read(0) == b""
        os.write(board, everything)
        assert ours.read(5) == everything
        ours.write(everything)
        assert heard(board, 256) == everything


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
    opened.close()
    with pytest.raises(ConsoleClosed):
        opened.read(0)


def test_a_network_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootfs_tool.console.reopen.REOPEN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with closing(console.connect(url, LINE)) as ours:
            board = server.accept()[0]
            board.sendall(b"hello")
            assert ours.read(5) == b"hello"
            ours.write(b"and back")
            assert board.recv(100) == b"and back"
            board.close()
            server.close()
            with pytest.raises(ConsoleClosed, match=r"did not come back within 0\.3 s"):
                ours.read(5)


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_a_network_line_that_is_not_there(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConsoleError, match=f"127.0.0.1:{port}"):
        console.connect(f"{scheme}://127.0.0.1:{port}", LINE)


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "uart.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        with closing(console.connect(f"socket:{path}", LINE)) as ours, server.accept()[0] as board:
            board.sendall(b"hello")
            assert ours.read(5) == b"hello"
            with pytest.raises(ConsoleError, match="can't carry a break"):
                ours.send_break()
            assert ours.set_baudrate(9600) is False
    with pytest.raises(ConsoleError, match=f"cannot open socket:{path}"):
        console.connect(f"socket:{path}", LINE)


def test_a_new_terminal_for_a_simulator(tmp_path: Path) -> None:
    link = tmp_path / "board"
    link.symlink_to("/dev/pts/none")  # a run that was killed has left it
    notes: list[Event] = []
    with (
        listening(notes.append),
        closing(console.connect(f"pty:{link}", LINE)) as ours,
        closing(console.connect(str(link), LINE)) as simulator,
    ):
        assert str(link) in notes[0].text
        simulator.write(b"hello")
        assert ours.read(5) == b"hello"
        ours.write(b"and back")
        assert simulator.read(5) == b"and back"
        simulator.close()
        assert ours.read(0) == b""
    assert not link.is_symlink()
    with listening(notes.append), closing(console.connect("pty", LINE)):
        assert "/dev/pts/" in notes[-1].text


def test_a_link_that_is_somebody_s_file(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("precious")
    with pytest.raises(ConsoleError, match="cannot make"):
        console.connect(f"pty:{tmp_path}/board", LINE)
    assert (tmp_path / "board").read_text() == "precious"


@pytest.mark.parametrize(
    ("flow_control", "flags"),
    [
        ("none", (0, 0)),
        ("xonxoff", (termios.IXON | termios.IXOFF, 0)),
        ("rtscts", (0, termios.CRTSCTS)),
    ],
)
def test_what_a_port_is_set_to(
    terminal: tuple[int, str],
    flow_control: Literal["none", "xonxoff", "rtscts"],
    flags: tuple[int, int],
) -> None:
    device = terminal[1]
    line = Line(baudrate=57600, flow_control=flow_control)
    with closing(console.connect(device, line)) as ours:
        iflag, _, cflag, _, *speeds, _ = termios.tcgetattr(terminal[0])
        assert speeds == [termios.B57600] * 2
        assert (iflag & (termios.IXON | termios.IXOFF), cflag & termios.CRTSCTS) == flags
        assert not cflag & termios.HUPCL  # closing lets DTR be
        ours.send_break()
        with pytest.raises(ConsoleError, match="can't do -1 baud"):
            ours.set_baudrate(-1)


def test_a_process() -> None:
    with closing(console.connect("exec:sh -c 'stty -echo; echo ready; cat'", LINE)) as ours:
        assert ours.read(5) == b"ready\r\n"
        ours.write(b"words\n")
        assert ours.read(5) == b"words\r\n"


def test_nothing_of_a_process_is_left(tmp_path: Path) -> None:
    command = f"exec:sh -c 'trap \"\" HUP; sleep 1000 & echo $! >{tmp_path}/pid; echo up; wait'"
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
        ("", "exec:"),
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
