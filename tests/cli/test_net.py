"""``net`` of a board that QEMU boots for it. One that is up: tests/bringup/test_interfaces.py."""

from __future__ import annotations

import json
import shutil
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rootfs_tool.cli.net import command
from tests.command import rootfs_tool
from tests.conftest import CHECKOUT

RECIPE = """
board = "qemu-aarch64"
overlay = ["overlay"]

[[target]]
type = "qemu"
machine = "virt"
cpu = "cortex-a53"
smp = 2
forward = ["{web}:8080", "{inside}:8081", "{own}:8082"]
"""
SERVICE = """
[[service]]
name = "{name}"
command = "/usr/bin/busybox {command}"
background = true
user = "{user}"
"""
SERVICES = (
    ("web", "httpd -f -p 8080 -h /www", "nobody"),
    ("inside", "httpd -f -p 127.0.0.1:8081 -h /www", "root"),
    ("own", "httpd -f -p 10.0.2.15:8082 -h /www", "root"),
    ("telnet", "telnetd -F -b 0.0.0.0:23", "root"),
    ("six", "httpd -f -p [::1]:8084 -h /www", "root"),
)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "overlay" / "www").mkdir(parents=True)
    forwards = dict(zip(("web", "inside", "own"), free_ports(3), strict=True))
    services = (SERVICE.format(name=n, command=c, user=u) for n, c, u in SERVICES)
    (tmp_path / "recipe.toml").write_text(RECIPE.format(**forwards) + "".join(services))
    shutil.copy(CHECKOUT / "boards" / "qemu-aarch64.lock", tmp_path / "recipe.lock")
    ran = rootfs_tool("build", tmp_path / "recipe.toml", "-o", tmp_path / "out", timeout=600)
    assert ran.status == 0, ran.said
    return tmp_path / "out"


def seen(view: dict[str, Any]) -> dict[int, tuple[str, bool]]:
    return {
        one["knock"]["door"]["port"]: (one["knock"]["answer"], one["as_expected"])
        for one in view["seen"]
    }


@pytest.mark.qemu
@pytest.mark.network
def test_a_machine_is_booted_for_it(built: Path) -> None:
    expected = ("--expect-open", "8082", "--expect-closed", "8080,9000")
    ran = rootfs_tool("net", built, "--json", *expected, timeout=240)
    assert ran.status == 1, ran.stderr
    assert "ask the board" in ran.stderr
    view = json.loads(ran.stdout)
    assert seen(view) == {
        23: ("no way", True),
        8080: ("open", False),
        8081: ("refused", True),  # QEMU takes the connection, the board does not
        8082: ("open", True),
        8084: ("no way", True),
        9000: ("no way", True),
    }
    listens = {one["port"]: one for one in view["listening"]}
    assert {port: one["open_to"] for port, one in listens.items()} == {
        23: "all addresses",
        8080: "all addresses, IPv6 too",
        8081: "loopback only",
        8082: "10.0.2.15 only",
        8084: "loopback only",
    }
    (web,) = listens[8080]["programs"]
    assert (web["name"], web["user"]) == ("httpd", "nobody")
    assert web["command"] == "/usr/bin/busybox httpd -f -p 8080 -h /www"
    (lo, eth0) = view["board"]["interfaces"]
    assert lo["addresses"] == ["127.0.0.1/8", "::1/128"]
    assert eth0["addresses"][0] == "10.0.2.15/24"
    assert eth0["up"]
    assert eth0["carrier"]
    assert view["outside"]["board"] is None
    assert view["outside"]["why"].startswith("QEMU's user network")
    assert view["board"]["name_servers"] == ["10.0.2.3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scan", "80,x"], '"x" is no port: 22, or 8000-8010'),
        (["--scan", "0"], '"0": ports are 1 to 65535'),
        (["--expect-open", "9-8"], '"9-8": ports are 1 to 65535, the smaller first'),
        (["--expect-open", "80", "--expect-closed", "79-81"], "port 80 can't be both"),
        (["--no-scan", "--scan", "80"], "--no-scan leaves no ports to look at"),
    ],
)
def test_what_makes_no_sense(options: list[str], words: str) -> None:
    ran = CliRunner().invoke(command, ["--console", "/dev/null", *options])
    assert ran.exit_code == 2
    assert words in " ".join(ran.output.split())
