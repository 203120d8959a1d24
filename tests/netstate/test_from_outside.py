"""A board and a host in network name spaces of their own, with a firewall and a twin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from rootfs_tool.netstate import outside, probe
from rootfs_tool.netstate.routes import Neighbour
from tests.command import PROGRAM, Ran

pytestmark = pytest.mark.root

BOARD, HOST = "10.77.0.2", "10.77.0.1"
ROUTED, GATEWAY = "10.78.0.2", "10.77.0.3"
IP_FREEBIND = 15  # ip(7): an address that is not there yet
MAC, TWIN = "02:00:00:00:77:02", "02:00:00:00:77:03"

SERVERS = f"""
import socket, sys
kept = []
for family, address, port in (
    (socket.AF_INET, "0.0.0.0", 9001),
    (socket.AF_INET, "127.0.0.1", 9002),
    (socket.AF_INET, "{BOARD}", 9003),
    (socket.AF_INET, "0.0.0.0", 9004),
    (socket.AF_INET, "0.0.0.0", 9005),
    (socket.AF_INET, "0.0.0.0", 9006),
    (socket.AF_INET6, "::", 9008),
):
    one = socket.socket(family)
    one.setsockopt(socket.IPPROTO_IP, {IP_FREEBIND}, 1)
    one.bind((address, port))
    one.listen()
    kept.append(one)
print("ready", flush=True)
sys.stdin.read()
"""
FIREWALL = """
table inet filter {
    chain input {
        type filter hook input priority 0;
        tcp dport 9004 drop
        tcp dport 9005 reject with tcp reset
        tcp dport 9006 reject with icmp type admin-prohibited
    }
}
"""
ATTACHED = """
board = "qemu-aarch64"

[[network.interface]]
name = "eth0"
address = "10.78.0.2/24"

[[target]]
type = "attached"
console = "exec:ip netns exec {name} busybox sh"
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Names of the name spaces."""

    host: str
    board: str
    twin: str

    def net(self, *options: str) -> Ran:
        """What the command says on that host of that board."""
        return self._ran("--console", f"exec:ip netns exec {self.board} busybox sh", *options)

    def _ran(self, *words: str) -> Ran:
        done = subprocess.run(
            ["ip", "netns", "exec", self.host, PROGRAM, "net", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def net_of(self, what: str, *options: str) -> Ran:
        """The same, of the board of a recipe."""
        return self._ran(what, *options)

    def seen(self, *options: str) -> dict[str, Any]:
        ran = self.net("--json", *options)
        assert ran.status == 0, ran.stderr
        loaded: dict[str, Any] = json.loads(ran.stdout)
        return loaded


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The host's bridge is the cable; the board's twin has its address too, but is off."""
    mark = f"rt{os.getpid()}"
    lab = Lab(host=f"{mark}h", board=f"{mark}b", twin=f"{mark}t")
    with ExitStack() as stack:
        for name in (lab.host, lab.board, lab.twin):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", lab.host, "link", "add", "cable", "type", "bridge")
        ip("-n", lab.host, "address", "add", f"{HOST}/24", "dev", "cable")
        ip("-n", lab.host, "link", "set", "cable", "up")
        for name, mac in ((lab.board, MAC), (lab.twin, TWIN)):
            peer = "to-board" if mac == MAC else "to-twin"
            made = ("link", "add", peer, "type", "veth", "peer", "name", "eth0", "address", mac)
            ip("-n", lab.host, *made, "netns", name)
            ip("-n", lab.host, "link", "set", peer, "master", "cable", "up")
            ip("-n", name, "address", "add", f"{BOARD}/24", "dev", "eth0")
        ip("-n", lab.board, "link", "set", "eth0", "up")
        nft = ["ip", "netns", "exec", lab.board, "nft", "-f", "-"]
        subprocess.run(nft, input=FIREWALL, text=True, check=True)
        stack.enter_context(serving(lab.board))
        yield lab


@contextmanager
def serving(name: str) -> Iterator[None]:
    """The board's servers, while the block runs."""
    with subprocess.Popen(
        ["ip", "netns", "exec", name, sys.executable, "-c", SERVERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.communicate(timeout=60)  # the end of its stdin is its own


def answers(view: dict[str, Any]) -> dict[int, tuple[str, str, bool]]:
    return {
        one["knock"]["door"]["port"]: (
            one["knock"]["answer"],
            one["knock"]["reason"],
            one["as_expected"],
        )
        for one in view["seen"]
    }


@pytest.fixture(scope="module")
def asked(lab: Lab) -> tuple[Ran, Ran]:
    """As JSON and as a table; at once, for both wait for a port that does not answer."""
    words = ("--scan", "9007", "--expect-closed", "9002,9010-9011", "--expect-open", "9001")
    with ThreadPoolExecutor() as pool:
        as_json = pool.submit(lab.net, "--json", *words)
        as_table = pool.submit(lab.net, "--expect-closed", "9001,9007")
        return as_json.result(), as_table.result()


def test_both_ends(asked: tuple[Ran, Ran]) -> None:
    ran, _ = asked
    assert ran.status == 0, ran.said
    view = json.loads(ran.stdout)
    assert answers(view) == {
        9001: ("open", "", True),
        9002: ("refused", "", True),  # loopback only
        9003: ("open", "", True),  # its own address
        9004: ("filtered", "", False),  # dropped
        9005: ("refused", "", False),  # a reset: as if nobody listened, but somebody does
        9006: ("filtered", "No route to host", False),  # the firewall's word
        9007: ("refused", "", True),
        9008: ("open", "", True),  # by IPv4 too
        9010: ("refused", "", True),
        9011: ("refused", "", True),
    }
    there = view["outside"]
    assert (there["board"], there["source"], there["interface"]) == (BOARD, HOST, "cable")
    assert there["gateway"] is None
    assert there["claimed_by"] == [MAC]
    assert there["neighbour"]["mac"] == MAC
    assert 0 < there["ping"] < 1
    programs = {one["port"]: one["programs"] for one in view["listening"]}
    assert programs[9001][0]["user"] == "root"
    assert "python" in programs[9001][0]["name"]


def test_as_a_table_and_a_port_that_must_be_closed(asked: tuple[Ran, Ran]) -> None:
    _, ran = asked
    assert ran.status == 1, ran.said
    rows = {line.partition("  ")[0]: line for line in ran.stdout.splitlines()}
    assert "loopback only" in rows["tcp 9002"]
    assert "refused  " in rows["tcp 9002"]
    assert "filtered: no answer (!)" in rows["tcp 9004"]
    assert rows["tcp 9007"].split("  ")[1].strip() == "nobody listens"
    assert "(!) tcp 9001 is open from this host, and must be closed" in ran.stdout
    assert "(!) tcp 9004 is filtered from this host, though on the board it is open to all" in (
        ran.stdout
    )
    assert f"from this host: {HOST} on cable to {BOARD}; ARP: {MAC}; ping: " in ran.stdout


def test_without_a_scan_nothing_is_connected_to(lab: Lab) -> None:
    view = lab.seen("--no-scan")
    assert view["seen"] == []
    assert len(view["listening"]) == 7


def test_two_boards_with_one_address(lab: Lab) -> None:
    ip("-n", lab.twin, "link", "set", "eth0", "up")
    try:
        ran = lab.net("--no-scan")
    finally:
        ip("-n", lab.twin, "link", "set", "eth0", "down")
    assert f"{BOARD} is not the board's alone: {TWIN} answers for it too" in ran.stdout


def test_a_board_that_answers_no_arp_is_not_behind_a_firewall(lab: Lab) -> None:
    ip("-n", lab.board, "link", "set", "eth0", "arp", "off")
    ip("-n", lab.host, "neigh", "flush", "dev", "cable")
    try:
        view = lab.seen()
    finally:
        ip("-n", lab.board, "link", "set", "eth0", "arp", "on")
    assert answers(view)[9001] == ("unreachable", "nobody answers ARP", False)
    assert answers(view)[9002] == ("unreachable", "nobody answers ARP", True)
    assert view["outside"]["claimed_by"] == []
    assert view["outside"]["ping"] is None


def test_a_host_without_a_way_there(lab: Lab) -> None:
    ip("-n", lab.host, "address", "del", f"{HOST}/24", "dev", "cable")
    try:
        view = lab.seen()
    finally:
        ip("-n", lab.host, "address", "add", f"{HOST}/24", "dev", "cable")
    why = f"this host is on no network with {BOARD}; name the recipe that says so"
    assert view["outside"]["why"].startswith(why)  # or a stranger with that address is asked
    assert answers(view)[9001] == ("no way", "", True)


def test_a_recipe_that_says_where_it_is(lab: Lab, tmp_path: Path) -> None:
    """Through a gateway: the twin, with another address."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(ATTACHED.format(name=lab.twin))
    ip("-n", lab.twin, "address", "del", f"{BOARD}/24", "dev", "eth0")
    ip("-n", lab.twin, "address", "add", f"{ROUTED}/32", "dev", "lo")
    ip("-n", lab.twin, "address", "add", f"{GATEWAY}/24", "dev", "eth0")
    ip("-n", lab.twin, "link", "set", "eth0", "up")
    ip("-n", lab.host, "route", "add", "10.78.0.0/24", "via", GATEWAY)
    with serving(lab.twin):
        ran = lab.net_of(str(recipe), "--expect-open", "9001")
    assert ran.status == 0, ran.said
    assert f"from this host: {HOST} on cable by {GATEWAY} to {ROUTED}; ping: " in ran.stdout


def test_a_shell_that_is_not_roots(lab: Lab) -> None:
    user = "setpriv --reuid=65534 --clear-groups busybox sh"
    view = lab.seen("--no-scan", "--console", f"exec:ip netns exec {lab.board} {user}")
    assert {one["port"] for one in view["listening"]} >= {9001, 9002}
    assert all(one["programs"] == [] for one in view["listening"])
    assert not view["board"]["root"]


def test_a_board_without_proc(lab: Lab) -> None:
    bare = "unshare --mount sh -c 'umount -l /proc; exec busybox sh'"
    ran = lab.net("--console", f"exec:{bare}")
    assert ran.status == 7
    assert "error: the board does not say what its network is" in ran.stderr
    assert "mount -t proc proc /proc" in ran.stderr


def test_ping() -> None:
    seconds = probe.ping(IPv4Address("127.0.0.1"))
    assert seconds is not None
    assert 0 < seconds < 1


def test_an_address_that_nobody_can_have() -> None:
    there = outside.look(IPv4Address("255.255.255.255"))
    assert there.board is None
    assert there.why == "this host has no way to 255.255.255.255: Permission denied"


def test_a_board_with_an_address_of_this_hosts() -> None:
    there = outside.look(IPv4Address("127.0.0.1"))
    assert there.why == "127.0.0.1 is an address of this host's too"


MET = Neighbour(address=IPv4Address(BOARD), mac=MAC, interface="eth0", state="complete")
AWAITED = replace(MET, mac=None, state="incomplete")


@pytest.mark.parametrize(
    ("claimed_by", "neighbour", "somebody", "nobody"),
    [
        ((MAC,), None, True, False),
        ((), AWAITED, False, True),
        (None, MET, True, False),  # who is not root sees only whom the kernel has met
        (None, AWAITED, False, True),
        (None, None, False, False),  # behind a router
    ],
)
def test_whether_somebody_is_there(
    claimed_by: tuple[str, ...] | None, neighbour: Neighbour | None, somebody: bool, nobody: bool
) -> None:
    there = outside.Outside(claimed_by=claimed_by, neighbour=neighbour)
    assert (there.somebody, there.nobody) == (somebody, nobody)
