"""A real serial server (ser2net) between us and a board that is a real shell."""

from __future__ import annotations

import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from rootfs_tool import console
from rootfs_tool.console import network
from rootfs_tool.console.base import Line
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleError
from rootfs_tool.events import Event, listening
from rootfs_tool.shell import Shell
from tests.console.uart import uart

LINE = Line()
CONFIGURATION = """\
connection: &board
  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}
  connector: {connector}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serial_server(directory: Path, connector: str, port: int | None = None) -> Iterator[str]:
    """ser2net in front of ``connector`` (gensio(5)); the address of it."""
    port = port or free_port()
    file = directory / "ser2net.yaml"
    file.write_text(CONFIGURATION.format(port=port, connector=connector))
    argv = ["ser2net", "-n", "-d", "-c", str(file), "-P", str(directory / "pid")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            deadline = time.monotonic() + 20
            while not _listens(port):
                assert child.poll() is None
                assert time.monotonic() < deadline
            yield f"rfc2217://127.0.0.1:{port}"
        finally:
            child.kill()


def _listens(port: int) -> bool:
    """Without a connection, which the server would have to get over first."""
    return f"0100007F:{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


def test_a_shell_behind_it(tmp_path: Path) -> None:
    with (
        closing(ProcessConsole("dash -i")) as board,
        uart(board, 115200) as line,
        serial_server(tmp_path, f"serialdev,{line.device},9600n81,local") as url,
        closing(console.connect(url, LINE)) as ours,
    ):
        assert line.host_rate == 115200
        shell = Shell.attach(ours, LINE, timeout=30)
        assert shell.run("printf '\\377\\377\\360%s' words; exit 3", timeout=10).output == (
            b"\xff\xff\xf0words"
        )
        shell.leave()
        assert ours.set_baudrate(9600)
        assert line.host_rate == 9600


def test_it_is_started_again(tmp_path: Path) -> None:
    port = free_port()
    notes: list[Event] = []
    with (
        listening(notes.append),
        closing(ProcessConsole("cat")) as board,
        uart(board, 115200) as line,
        ExitStack() as stack,
    ):
        connector = f"serialdev,{line.device},9600n81,local"
        with serial_server(tmp_path, connector, port) as url:
            ours = stack.enter_context(closing(console.connect(url, LINE)))
            assert ours.set_baudrate(57600)
        assert ours.read(0.2) == b""
        with serial_server(tmp_path, connector, port):
            while len(notes) == 1:
                ours.read(1)
            assert "is back after" in notes[1].text
            assert line.host_rate == 57600


def test_a_break_and_the_flow_control(tmp_path: Path) -> None:
    """ser2net passes them on to another serial server, which is where they can be seen."""
    with ExitStack() as stack:
        far = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        connector = f"telnet(rfc2217),tcp,127.0.0.1,{far.getsockname()[1]}"
        url = stack.enter_context(serial_server(tmp_path, connector))
        opened = []
        line = Line(flow_control="rtscts")
        opening = threading.Thread(target=lambda: opened.append(network.open_rfc2217(url, line)))
        opening.start()
        board = stack.enter_context(far.accept()[0])
        board.sendall(b"\xff\xfd\x2c")  # DO COM-PORT-OPTION
        heard = b""
        while b"\xff\xfa\x2c\x05\x03\xff\xf0" not in heard:
            heard += _answered(board)
        opening.join()
        ours = stack.enter_context(closing(opened[0]))
        sending = threading.Thread(target=ours.send_break)
        sending.start()
        while b"\xff\xfa\x2c\x05\x06\xff\xf0" not in heard:
            heard += _answered(board)
        sending.join()
        assert b"\xff\xfa\x2c\x05\x05\xff\xf0" in heard


def _answered(board: socket.socket) -> bytes:
    """What a serial server is told, each setting of it confirmed."""
    assert select.select([board], [], [], 10)[0]
    data = board.recv(1000)
    for which, value in re.findall(rb"\xff\xfa\x2c([\x01-\x05])([^\xff]*)\xff\xf0", data):
        board.sendall(b"\xff\xfa\x2c%c%s\xff\xf0" % (which[0] + 100, value))
    return data


@pytest.mark.parametrize("answer", [b"\xff\xfe\x2c", b"login: "])
def test_a_server_that_knows_no_rfc2217(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootfs_tool.console.rfc2217.ANSWER", 0.3)
    with pytest.raises(ConsoleError, match="no serial server that speaks RFC 2217"):
        _open_with(answer)


def test_a_server_that_hangs_up() -> None:
    with pytest.raises(ConsoleError, match="hung up at once"):
        _open_with(b"")


def _open_with(answer: bytes) -> None:
    """Open a server that says no more than that, and hangs up when it is nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rfc2217://127.0.0.1:{server.getsockname()[1]}"
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(console.connect, url, LINE)
            with server.accept()[0] as board:
                board.sendall(answer)
                if answer:
                    opening.exception()
            opening.result()
