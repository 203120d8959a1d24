"""A machine of QEMU's on a TAP: a real address, port 69, a lease, and the world behind NAT."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rootfs_tool.targets import tap
from tests.command import PROGRAM, outcomes, rootfs_tool, the_report
from tests.conftest import CHECKOUT
from tests.hostnet.lab import FAR, OURS, Lab
from tests.hostnet.world import CONTENT, PORT, World, answering, board

pytestmark = [pytest.mark.qemu, pytest.mark.root]

RECIPE = f"""\
board = "qemu-aarch64"

[network]
hostname = "lab-7"
dns = ["10.0.0.1"]

[[network.interface]]
name = "eth0"
address = "10.0.0.2/24"
gateway = "10.0.0.1"

[[target]]
type = "qemu"
machine = "virt"
cpu = "cortex-a53"
smp = 2
network = "tap0"

[[check]]
type = "command"
command = "tftp -g -r hello -l /tmp/again 10.0.0.1 && cmp /tmp/hello /tmp/again && echo same"
expect = "same"

[[check]]
type = "command"
command = "echo all | nc {FAR} {PORT} | wc -c"
expect = "{len(CONTENT)}"

[[check]]
type = "command"
command = "udhcpc -i eth0 -n -q -t 8 -s /bin/true 2>&1"
expect = "lease of 10.0.0."
timeout = 30
"""


@pytest.fixture
def world(host: Lab) -> Iterator[World]:
    with answering(host) as made:
        yield made


def test_a_machine_on_a_tap(host: Lab, world: World, programs: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "out"
    recipe.write_text(RECIPE)
    shutil.copy(CHECKOUT / "boards" / "qemu-aarch64.lock", tmp_path / "recipe.lock")
    ran = rootfs_tool("build", recipe, "-o", out, timeout=600)
    assert ran.status == 0, ran.said
    assert host.rootfs_tool("hostnet", "up", "--dhcp").status == 0
    hello = f"'{programs / 'hello'}'"
    options = ("-o", out, "--tftp-port", "69", "--run", hello)
    ran = host.rootfs_tool("bringup", recipe, *options)
    assert ran.status == 0, ran.said
    found = outcomes(the_report(out))
    assert set(found.values()) == {"passed"}, ran.said
    assert "10.0.0.1 answers" in ran.stdout  # the ping
    assert world.seen == [OURS]
    leases = (host.run / "rootfs-tool" / "hostnet-tap0.leases").read_text()
    assert tap.mac("tap0", "lab-7") in leases
    assert host.processes() != []  # dnsmasq is left, and nothing of QEMU
    assert all(_name(process) == "dnsmasq" for process in host.processes())


def _name(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()


def test_why_a_machine_can_not_have_the_tap(host: Lab) -> None:
    ran = _check(host, "tap0")
    assert "error: this host has no tap0" in ran
    assert "hostnet up --tap tap0" in ran
    assert "eth0 is no TAP" in _check(host, "eth0")
    assert host.rootfs_tool("hostnet", "up", "--uplink", "none").status == 0
    assert _check(host, "tap0") == "free\n"
    nobody = ("setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all")
    ran = _check(host, "tap0", *nobody)
    assert "error: this user may not open tap0" in ran
    assert re.search(r"; sudo /\S+.* hostnet up --tap tap0 --user nobody", ran)
    with board(host):  # held by a program of another network namespace
        assert "error: tap0 is taken by another program" in _check(host, "tap0")
    with _held(host, "tap0") as holder:
        name = Path(f"/proc/{holder}/comm").read_text().strip()
        assert f"error: tap0 is taken by {name} (process {holder})" in _check(host, "tap0")


@contextmanager
def _held(host: Lab, name: str) -> Iterator[int]:
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from tests.hostnet.stack import opened\n"
        "opened(sys.argv[2])\n"
        "print(flush=True)\n"
        "sys.stdin.read()"
    )
    argv = host.argv(PROGRAM.with_name("python"), "-c", code, CHECKOUT, name)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        yield process.pid
        process.stdin.close()


def _check(host: Lab, name: str, *before: str) -> str:
    code = (
        "import sys\n"
        "from rootfs_tool.errors import ConfigError\n"
        "from rootfs_tool.targets import tap\n"
        "try: tap.check(sys.argv[1]); print('free')\n"
        "except ConfigError as e: print(f'error: {e}\\n hint: {e.hint}')"
    )
    python = PROGRAM.with_name("python")
    argv = host.argv(*before, python, "-c", code, name)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def test_whoever_owns_the_tap_needs_no_root(host: Lab) -> None:
    up = ("hostnet", "up", "--uplink", "none", "--user", "nobody")
    assert host.rootfs_tool(*up).status == 0
    nobody = ("setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all")
    assert _check(host, "tap0", *nobody) == "free\n"
