"""What `ssh` says before it has spoken to anything."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rootfs_tool import sshclient
from rootfs_tool.errors import ConfigError, ConsoleTimeout
from rootfs_tool.sshclient import Server
from tests.command import rootfs_tool
from tests.ssh_client import Keys, free_port, written

SSH = '[ssh]\nauthorized-keys = ["{}"]\n'
WAITS_FOR_A_NAME = """
import socket, threading
from rootfs_tool import events, sshclient

HOST = "rootfs-tool-board.local"

def appear(event):
    if event.kind == "note":
        print(event.text)
        with open("/etc/hosts", "w") as hosts:
            hosts.write(f"127.0.0.1 {HOST}\\n")

def answer():
    connection, _ = listening.accept()
    connection.sendall(b"SSH-2.0-x\\r\\n")

listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=answer, daemon=True).start()
port = listening.getsockname()[1]
with events.listening(appear):
    sshclient.wait(sshclient.Server(name="x", host=HOST, port=port, machine=False), "x")
"""


def test_at_the_boards_own_address(tmp_path: Path, keys: Keys) -> None:
    public = keys.mine.with_suffix(".pub").read_text().strip()
    found = written(tmp_path, f'board = "raspberrypi4"\n{SSH.format(public)}port = 2222\n')
    address = str(found.board.network.interface[0].ipv4[0].ip)
    server = sshclient.find(found)
    assert server == Server(name="raspberrypi4", host=address, port=2222, machine=False)
    assert sshclient.find(found, "192.0.2.7").host == "192.0.2.7"
    options = server.options("me")
    assert options["StrictHostKeyChecking"] == "accept-new"
    assert options["HostKeyAlias"] == "raspberrypi4"


def test_in_a_machine_that_nothing_leads_into(tmp_path: Path, keys: Keys) -> None:
    public = keys.mine.with_suffix(".pub").read_text().strip()
    found = written(tmp_path, f'board = "qemu-aarch64"\n{SSH.format(public)}')
    with pytest.raises(ConfigError, match="no port of this host leads to port 22") as caught:
        sshclient.find(found)
    assert 'forward = ["10022:22"]' in str(caught.value.hint)


def test_on_a_board_without_it() -> None:
    ran = rootfs_tool("ssh", "raspberrypi4")
    assert ran.status == 2
    assert "raspberrypi4 has no SSH server" in ran.stderr
    assert "add [ssh]" in ran.stderr


def test_in_a_machine_that_is_off(tmp_path: Path, keys: Keys) -> None:
    public = keys.mine.with_suffix(".pub").read_text().strip()
    path = tmp_path / "recipe.toml"
    written(
        tmp_path,
        f'board = "qemu-aarch64"\nforward = ["{free_port()}:22"]\n{SSH.format(public)}',
    )
    ran = rootfs_tool("ssh", path, "true")
    assert ran.status == 7
    assert "nothing listens at 127.0.0.1 port" in ran.stderr
    assert f"rootfs-tool run {path}" in ran.stderr


@pytest.mark.parametrize("address", ["", "a b", "-oProxyCommand=x", "a\n  ProxyCommand x"])
def test_an_address_that_is_none(tmp_path: Path, keys: Keys, address: str) -> None:
    public = keys.mine.with_suffix(".pub").read_text().strip()
    found = written(tmp_path, f'board = "raspberrypi4"\n{SSH.format(public)}')
    with pytest.raises(ConfigError, match="is neither an address nor a name") as caught:
        sshclient.find(found, address)
    assert "--address 192.0.2.7" in str(caught.value.hint)


@pytest.mark.parametrize(("name", "patience"), [("board..lan", 30), ("::::", 0)])
def test_a_name_that_nobody_has(name: str, patience: float) -> None:
    """Names that need no name server to be told so; what is no name is not waited for."""
    server = Server(name="x", host=name, port=22, machine=False)
    start = time.monotonic()
    with pytest.raises(ConfigError, match=f"^{name}: ") as caught:
        sshclient.wait(server, "x", patience=patience)
    assert "--address 192.0.2.7" in str(caught.value.hint)
    assert time.monotonic() - start < 20


@pytest.mark.root
def test_a_name_that_comes_with_the_board_is_waited_for(tmp_path: Path) -> None:
    """As by mDNS: here /etc/hosts in a mount namespace of its own, where it gets the name."""
    hosts, switch = tmp_path / "hosts", tmp_path / "nsswitch"
    hosts.touch()
    switch.write_text("hosts: files\n")
    script = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf || exit'
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", f'{script}; exec "$3" -c "$4"', "sh"),
            *(hosts, switch, sys.executable, WAITS_FOR_A_NAME),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("rootfs-tool-board.local: ")


@pytest.mark.parametrize("says", [b"", b"220 smtp\r\n"])
def test_where_something_else_listens(says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        answering = threading.Thread(target=_answer, args=(listening, says), daemon=True)
        answering.start()
        server = Server(name="x", host="127.0.0.1", port=port, machine=True)
        with pytest.raises(ConsoleTimeout, match=r"within 0\.3 s: (something else|the conn)"):
            sshclient.wait(server, "x", patience=0.3)


def _answer(listening: socket.socket, says: bytes) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(says)
