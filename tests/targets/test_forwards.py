"""Forwards of a machine's ports: what may be written, and ports of this host that are taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool import recipe
from rootfs_tool.cli.subject import machine
from rootfs_tool.errors import ConfigError
from rootfs_tool.network import Network
from rootfs_tool.targets import portforward
from rootfs_tool.targets.attached import Attached
from rootfs_tool.targets.portforward import Forward
from rootfs_tool.targets.qemu import Qemu

TARGET = '[[target]]\ntype = "qemu"\nmachine = "virt"\n'


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens at: we do."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def written(directory: Path, lines: str) -> Path:
    file = directory / "recipe.toml"
    file.write_text(f'board = "qemu-aarch64"\n{lines}')
    return file


def mistakes(directory: Path, lines: str) -> str:
    with pytest.raises(ConfigError) as caught:
        recipe.find(str(written(directory, lines)))
    return str(caught.value)


def test_the_ports_by_the_board_s() -> None:
    qemu = Qemu(machine="virt", forward=("9000", "10022:22", "10023:22"))
    assert qemu.forwards() == {9000: 9000, 22: 10022}
    assert qemu.reach(Network(hostname="board"), 22) == ("127.0.0.1", 10022)
    assert qemu.reach(Network(hostname="board"), 23) is None


def test_a_board_is_reached_at_its_own_address() -> None:
    network = recipe.find("qemu-aarch64")[0].board.network
    assert Attached(console="x").reach(network, 9000) == ("10.0.2.15", 9000)
    assert Attached(console="x").reach(Network(hostname="board"), 9000) is None


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        ('["9000:"]', 'forward[0]: must be a port, or HOST:BOARD, such as "9000"'),
        ('["tcp:9000:9000"]', "forward[0]: must be a port"),
        ('["0:22"]', 'forward[0]: "0:22": a port is 1 to 65535, not 0'),
        ('["22:65536"]', "not 65536"),
        ('["9000", "9000:22"]', 'forward[1]: "9000:22": port 9000 of this host has "9000" already'),
        ("[9000]", "forward[0]: must be a text in quotes, not 9000"),
        ('"9000"', "forward: must be an array"),
    ],
)
def test_what_cannot_be_forwarded(tmp_path: Path, forward: str, words: str) -> None:
    assert words in mistakes(tmp_path, f"forward = {forward}\n")
    assert words in (said := mistakes(tmp_path, f"{TARGET}forward = {forward}\n"))
    assert "target[0].forward" in said


def test_a_machine_without_a_network_forwards_nothing() -> None:
    with pytest.raises(ValueError, match="forward needs a network card"):
        Qemu(machine="virt", nic=None, forward=("9000",))


def test_a_recipe_s_own_forwards_replace_those_of_the_machine(tmp_path: Path) -> None:
    own = TARGET + 'forward = ["1:1"]\n'
    assert machine(recipe.find(str(written(tmp_path, own)))[0]).forward == ("1:1",)
    both = written(tmp_path, f'forward = ["2:2"]\n{own}')
    assert machine(recipe.find(str(both))[0]).forward == ("2:2",)
    shipped = written(tmp_path, 'forward = ["2:2"]\n')
    there = machine(recipe.find(str(shipped))[0])
    assert (there.forward, there.card, there.smp) == (("2:2",), "virtio", 2)


def test_a_port_that_is_taken_is_named_with_its_holder(taken: int) -> None:
    with pytest.raises(ConfigError) as caught:
        portforward.check([Forward(host=taken, board=9000)])
    name = Path("/proc/self/comm").read_text().strip()
    assert str(caught.value) == (
        f"TCP port {taken} of 127.0.0.1, which leads to the board's 9000, "
        f"is taken by {name} (process {os.getpid()})"
    )
    assert f'forward = ["{min(taken + 10_000, 65535)}:9000"]' in str(caught.value.hint)


def test_connections_that_linger_are_no_hindrance() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        ours = socket.create_connection(("127.0.0.1", port))
        theirs, _ = server.accept()
        theirs.close()  # the server's end waits for a while now (TIME_WAIT)
        ours.close()
    portforward.check([Forward(host=port, board=9000)])


@pytest.mark.root
def test_a_port_that_only_root_may_open() -> None:
    code = (
        "from rootfs_tool.targets import portforward as p\n"
        "from rootfs_tool.errors import ConfigError\n"
        "try: p.check([p.Forward(host=80, board=80)])\n"
        "except ConfigError as error: print(error, '|', error.hint)\n"
    )
    nobody = ["unshare", "--net", "setpriv", "--reuid", "65534", "--bounding-set=-all"]
    ran = subprocess.run(
        [*nobody, "--inh-caps=-all", sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this user may not open TCP port 80" in ran.stdout, ran.stderr
    assert 'forward = ["10080:80"]; or: sysctl net.ipv4.ip_unpriv' in ran.stdout
