"""A host and a board on one cable, each in a network namespace, and what stands between them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import PRIVATE
from tests.command import PROGRAM

pytestmark = pytest.mark.root

ASK = "timeout 1 tftp -g -l /tmp/got -r {} 192.0.2.1"
# Each line is a check that fails, and what must be found.
COMMANDS = {
    "nc -w 1 192.0.2.1 7171": ("filtered", "let it pass in the firewall of 192.0.2.1"),
    ASK.format("kernel.img") + " 6969": (
        "tftp-wrong-folder",
        "on the board: tftp -g -r boot/kernel.img 192.0.2.1 6969",
    ),
    ASK.format("nothing.img") + " 6969": ("tftp-not-found", "copy it there: cp nothing.img "),
    ASK.format("boot/kernel.img"): (
        "tftp-other-port",
        "on the board: tftp -g -r boot/kernel.img 192.0.2.1 6969",
    ),
    ASK.format("boot/kernel.img") + " 7070": (
        "tftp-firewall",
        "on this host: sudo nft insert rule inet guard in udp dport 7070 accept",
    ),
    ASK.format("boot/kernel.img") + " 6969 -b 20000": (
        "tftp-block-size",
        "on the board: tftp -g -b 1428 -r boot/kernel.img 192.0.2.1 6969",
    ),
}
TCP = {8080: ("loopback-only", "bind 0.0.0.0"), 9300: ("filtered", "on the board, if it is there")}

RECIPE = """\
board = "qemu-aarch64"
[network]
hostname = "board"
[[network.interface]]
name = "eth0"
address = "192.0.2.2/24"
"""

GUARD = """\
table inet guard {{
  chain in {{ type filter hook input priority 0; {} drop; }}
}}
"""
# Before the kernel puts fragments together: NF_IP_PRI_CONNTRACK_DEFRAG is -400.
FRAGMENTS = """\
table ip pieces {
  chain in { type filter hook prerouting priority -450; ip frag-off & 0x3fff != 0 drop; }
}
"""


def ip(*words: str, said: str = "") -> None:
    subprocess.run(["ip", *words], check=True, input=said, text=True)


class Cable:
    """Names of the namespaces at its two ends, and what runs there until the end."""

    def __init__(self, stack: ExitStack) -> None:
        self.host, self.board = f"rt{os.getpid()}dh", f"rt{os.getpid()}db"
        self._stack = stack
        for name in (self.host, self.board):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
            ip("-n", name, "link", "set", "lo", "up")
        peer = ("type", "veth", "peer", "name", "eth0", "netns", self.board)
        ip("-n", self.host, "link", "add", "to-board", *peer)
        for name, device, address in (
            (self.host, "to-board", "192.0.2.1/24"),
            (self.board, "eth0", "192.0.2.2/24"),
        ):
            ip("-n", name, "address", "add", address, "dev", device)
            ip("-n", name, "link", "set", device, "up")

    def start(self, where: str, *argv: str | Path) -> None:
        process = subprocess.Popen(
            ["ip", "netns", "exec", where, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.terminate)

    def wait_for(self, where: str, table: str, count: int) -> None:
        deadline = time.monotonic() + 20
        argv = ["ip", "netns", "exec", where, "cat", f"/proc/net/{table}"]
        while len(subprocess.check_output(argv).splitlines()) <= count:
            assert time.monotonic() < deadline, table
            time.sleep(0.05)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The results of one bring-up, by the name of the check."""
    place = tmp_path_factory.mktemp("ends")
    (place / "tftp" / "boot").mkdir(parents=True)
    (place / "tftp" / "boot" / "kernel.img").write_bytes(bytes(60000))
    recipe = place / "recipe.toml"
    checks = [f'[[check]]\ntype = "command"\ncommand = "{one}"\n' for one in COMMANDS]
    checks += [f'[[check]]\ntype = "tcp"\nport = {port}\ntimeout = 1\n' for port in TCP]
    recipe.write_text(RECIPE + "".join(checks))
    with ExitStack() as stack:
        cable = Cable(stack)
        nft = ("nft", "-f", "-")
        ip(
            "netns",
            "exec",
            cable.host,
            *nft,
            said=GUARD.format("udp dport 7070 drop; tcp dport 7171"),
        )
        ip("netns", "exec", cable.board, *nft, said=GUARD.format("tcp dport 9300") + FRAGMENTS)
        for port in ("6969", "7070"):
            serve = ("tftp-serve", place / "tftp", "--port", port, "--address", "192.0.2.1")
            cable.start(cable.host, PROGRAM, *serve)
        for address in ("127.0.0.1:8080", "0.0.0.0:9300"):
            cable.start(cable.board, "busybox", "httpd", "-f", "-p", address, "-h", "/")
        cable.wait_for(cable.host, "udp", 2)
        cable.wait_for(cable.board, "tcp", 2)
        inside = f"{PRIVATE}; PATH=/mnt exec sh"
        url = f"exec:ip netns exec {cable.board} unshare --mount sh -c '{inside}'"
        done = subprocess.run(
            [
                *("ip", "netns", "exec", cable.host, PROGRAM, "bringup", recipe),
                *("--console", url, "-o", place / "out", "--json"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        yield {one["name"]: one for one in json.loads(done.stdout)["results"]}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_of_the_board_failed_of(
    report: dict[str, dict[str, Any]], command: str
) -> None:
    found = report[f"command {command}"]
    (one,) = found["diagnoses"]
    rule, mend = COMMANDS[command]
    assert one["rule"] == rule, found
    assert one["mend"].startswith(mend)
    assert one["evidence"]


@pytest.mark.parametrize("port", TCP)
def test_tcp_from_outside(report: dict[str, dict[str, Any]], port: int) -> None:
    found = report[f"tcp {port}"]
    (one,) = found["diagnoses"]
    rule, mend = TCP[port]
    assert one["rule"] == rule, found
    assert one["mend"].startswith(mend)
    assert any(f":{port}/tcp" in line and "httpd" in line for line in one["evidence"])
