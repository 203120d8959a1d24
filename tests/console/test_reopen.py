"""Ports that go away and come back."""

from __future__ import annotations

import os
import select
import signal
import socket
import termios
import threading
import time
import tty
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool import console
from rootfs_tool.console import ports
from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleClosed
from rootfs_tool.events import Event, listening
from rootfs_tool.shell import Shell
from tests.console.uart import SPEEDS, heard

LINE = Line()
ADAPTER = "serial/by-id/usb-FTDI_FT232R_A1B2C3-if00-port0"


class Host:
    """A /dev whose USB adapter is a pseudo-terminal, plugged and unplugged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.by_id = directory / ADAPTER
        self.by_id.parent.mkdir(parents=True)
        self.board = self._ours = -1
        self._link = directory / "none"
        self.cable = threading.Lock()

    def plug(self, name: str) -> Path:
        with self.cable:
            self.board, self._ours = os.openpty()
            tty.setraw(self._ours)
        self._link = self.directory / name
        self._link.symlink_to(os.ttyname(self._ours))
        self.by_id.symlink_to(f"../../{name}")
        return self._link

    def unplug(self) -> None:
        self.by_id.unlink(missing_ok=True)
        self._link.unlink(missing_ok=True)
        with self.cable:
            for descriptor in (self.board, self._ours):
                if descriptor >= 0:
                    os.close(descriptor)
            self.board = self._ours = -1


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr("rootfs_tool.console.ports.DEVICES", tmp_path)
    host = Host(tmp_path)
    yield host
    host.unplug()


def test_the_name_that_lasts(host: Host) -> None:
    device = str(host.plug("ttyUSB0"))
    assert ports.lasting_name(device) == str(host.by_id)
    assert ports.there() == f"this host has {host.by_id}, {device}"
    by_path = host.directory / "serial" / "by-path" / "pci-0000:00:14.0-usb-0:2:1.0-port0"
    by_path.parent.mkdir()
    host.by_id.rename(by_path)  # an adapter without a serial number may have no name of its own
    assert ports.lasting_name(device) == str(by_path)
    by_path.unlink()
    assert ports.lasting_name(device) == device


@pytest.mark.parametrize("again", ["ttyUSB0", "ttyUSB1"])
def test_an_adapter_that_is_put_in_again(host: Host, again: str) -> None:
    notes: list[Event] = []
    with listening(notes.append), closing(console.connect(str(host.plug("ttyUSB0")), LINE)) as ours:
        os.write(host.board, b"before")
        assert ours.read(5) == b"before"
        assert ours.set_baudrate(9600)
        host.unplug()
        assert ours.read(0.3) == b""
        (gone,) = [note.text for note in notes]
        assert str(host.by_id) in gone
        host.plug(again)
        while len(notes) == 1:
            assert ours.read(0.1) == b""
        os.write(host.board, b"after")
        assert ours.read(5) == b"after"
        assert notes[-1].text.startswith(f"{host.by_id} is back after ")
        ours.write(b"typed")
        assert heard(host.board, 5) == b"typed"
        assert SPEEDS[termios.tcgetattr(host.board)[5]] == 9600


def test_what_is_written_while_it_is_out_waits_for_it(host: Host) -> None:
    with closing(console.connect(str(host.plug("ttyUSB0")), LINE)) as ours:
        host.unplug()
        writer = threading.Thread(target=ours.write, args=(b"typed",))
        writer.start()
        host.plug("ttyUSB1")
        writer.join()
        assert heard(host.board, 5) == b"typed"


def test_another_adapter_under_its_name_is_not_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.console.reopen.REOPEN", 0.5)
    with closing(console.connect(str(host.plug("ttyUSB0")), LINE)) as ours:
        host.unplug()
        host.plug("ttyUSB0")
        host.by_id.rename(host.by_id.with_name("usb-FTDI_FT232R_OTHER-if00-port0"))
        with pytest.raises(ConsoleClosed, match=r"did not come back within 0\.5 s: there is no"):
            ours.read(5)
        with pytest.raises(ConsoleClosed, match="did not come back"):
            ours.write(b"x")
        host.by_id.with_name("usb-FTDI_FT232R_OTHER-if00-port0").unlink()


def test_a_closed_one_stays_closed(host: Host) -> None:
    with closing(console.connect(str(host.plug("ttyUSB0")), LINE)) as ours:
        pass
    with pytest.raises(ConsoleClosed, match="is closed"):
        ours.read(5)


def test_a_pseudo_terminal_that_ends_is_not_waited_for(host: Host) -> None:
    device = os.path.realpath(host.plug("ttyUSB0"))
    with closing(console.connect(device, LINE)) as ours:
        host.unplug()
        with pytest.raises(ConsoleClosed, match="has closed"):
            ours.read(20)


def test_a_serial_server_that_restarts() -> None:
    notes: list[Event] = []
    with listening(notes.append), socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with closing(console.connect(url, LINE)) as ours:
            with server.accept()[0] as first:
                first.sendall(b"one")
                assert ours.read(5) == b"one"
            # a serial server whose port is away takes a connection, and hangs up at once
            refused = threading.Thread(target=lambda: server.accept()[0].close())
            refused.start()
            assert ours.read(0.5) == b""
            refused.join()
            ours.write(b"two")
            with server.accept()[0] as second:
                assert second.recv(100) == b"two"
    gone, back = (note.text for note in notes)
    assert gone.startswith(f"{url} has closed (end of file); waiting up to 30 s")
    assert back.startswith(f"{url} is back after ")


def test_an_interrupt_ends_the_wait(host: Host) -> None:
    with closing(console.connect(str(host.plug("ttyUSB0")), LINE)) as ours:
        host.unplug()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            ours.write(b"x")


class Wire:
    """What passes between the board and the adapter, while there is one."""

    def __init__(self, board: Console, host: Host) -> None:
        self._board = board
        self._host = host
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._to, self._from)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _to(self) -> None:
        while not self._over.is_set():
            with self._host.cable:
                ready = self._host.board >= 0 and select.select([self._host.board], [], [], 0)[0]
                data = os.read(self._host.board, 4096) if ready else b""
            self._board.write(data)
            self._over.wait(0.002)

    def _from(self) -> None:
        while not self._over.is_set():
            data = self._board.read(0.05)
            with self._host.cable:
                if self._host.board >= 0:
                    os.write(self._host.board, data)


def test_a_command_goes_on_over_it(host: Host, tmp_path: Path) -> None:
    """It ends while the adapter is out: its answer was said to nobody, and is asked for again."""
    done = tmp_path / "done"
    with (
        closing(ProcessConsole("dash -i")) as board,
        closing(Wire(board, host)),
        closing(console.connect(str(host.plug("ttyUSB0")), LINE)) as ours,
        ThreadPoolExecutor(1) as pool,
    ):
        shell = Shell.attach(ours, LINE, timeout=30)
        began = tmp_path / "began"
        command = f"touch {began}; until [ -e {done} ]; do :; done; seq 1000; exit 3"
        running = pool.submit(shell.run, command, timeout=60)
        wait_for(began)
        host.unplug()
        done.touch()
        host.plug("ttyUSB1")
        result = running.result()
        assert result.status == 3
        assert result.output.count(b"\n") == 1000
        shell.leave()


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline
