"""Packets: a stack of user space on the TAP reaches the world, and the world nothing in return."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.hostnet.lab import FAR, OURS, Lab, ip
from tests.hostnet.stack import opened
from tests.hostnet.world import CONTENT, PORT, World, answering, board

pytestmark = pytest.mark.root

NO_NFT = "mount --bind /dev/null /usr/sbin/nft"
OLD = f"{NO_NFT}; mount --bind /usr/sbin/xtables-legacy-multi /usr/sbin/xtables-nft-multi"


@pytest.fixture
def world(host: Lab) -> Iterator[World]:
    with answering(host) as made:
        yield made


def test_a_board_reaches_the_world_as_if_it_were_the_host(host: Lab, world: World) -> None:
    assert host.rootfs_tool("hostnet", "up").status == 0
    with board(host) as stack:
        assert stack.fetch(FAR, PORT, b"all, please") == CONTENT
    assert world.seen == [OURS]


@pytest.mark.parametrize("mounts", [NO_NFT, OLD], ids=["iptables-nft", "iptables-legacy"])
def test_by_iptables_where_there_is_no_nft(host: Lab, world: World, mounts: str) -> None:
    other = replace(host, mounts=mounts)
    # The first rule of a table makes the chain that it is in, which stays (iptables-nft(8)).
    for chain in ("FORWARD", "-t nat POSTROUTING"):
        *table, name = chain.split()
        rule = f"{' '.join(table)} {{}} {name} -j ACCEPT"
        other.sh(f"iptables {rule.format('-A')}; iptables {rule.format('-D')}")
    saved = f"{host.snapshot()}{other.sh('iptables-save | grep -v ^#')}"
    ran = other.rootfs_tool("hostnet", "up")
    assert ran.status == 0, ran.said
    with board(host) as stack:
        assert stack.fetch(FAR, PORT, b"all, please") == CONTENT
    assert world.seen == [OURS]
    assert other.rootfs_tool("hostnet", "up").stderr == "tap0 is up already\n"
    assert other.rootfs_tool("hostnet", "down").status == 0
    assert f"{host.snapshot()}{other.sh('iptables-save | grep -v ^#')}" == saved


def test_without_an_uplink_it_reaches_the_host_alone(host: Lab, world: World) -> None:
    assert host.rootfs_tool("hostnet", "up", "--uplink", "none").status == 0
    with board(host) as stack:
        with pytest.raises(TimeoutError):
            stack.fetch(FAR, PORT, b"all, please", seconds=0.5)
        with pytest.raises(ConnectionRefusedError):
            stack.fetch("10.0.0.1", PORT, b"are you there?")
    assert world.seen == []


def test_nobody_outside_gets_in_or_through(host: Lab) -> None:
    """The host forwards now, but not for its neighbours: neither to boards nor elsewhere."""
    assert host.rootfs_tool("hostnet", "up").status == 0
    ip(f"-n {host.host} tuntap add dev side mode tap")
    ip(f"-n {host.host} address add 10.5.0.1/24 dev side")
    ip(f"-n {host.host} link set side up")
    for network in ("10.0.0.0/24", "10.5.0.0/24"):
        ip(f"-n {host.world} route add {network} via {OURS}")
    taps = [host.within(host.host, lambda name=name: opened(name)) for name in ("tap0", "side")]  # type: ignore[misc]
    try:
        host.sh("nft delete table ip rootfs_tool_tap0")  # it is this that guards
        for tap, address in zip(taps, ("10.0.0.2", "10.5.0.2"), strict=True):
            host.within(host.world, lambda to=address: _knock(to))  # type: ignore[misc]
            assert _asked_for(tap, address, 4)
        assert host.rootfs_tool("hostnet", "up").status == 0
        for tap, address in zip(taps, ("10.0.0.3", "10.5.0.3"), strict=True):
            host.within(host.world, lambda to=address: _knock(to))  # type: ignore[misc]
            assert not _asked_for(tap, address, 0.3)
    finally:
        for tap in taps:
            os.close(tap)
        ip(f"-n {host.host} link delete side")
        for network in ("10.0.0.0/24", "10.5.0.0/24"):
            ip(f"-n {host.world} route delete {network} via {OURS}")


def _knock(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocking:
        knocking.sendto(b"let me in", (address, 9))


def _asked_for(tap: int, address: str, seconds: float) -> bool:
    """Whether the host looks for an address on a TAP, for it has a packet to send there."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and select.select([tap], [], [], left)[0]:
        frame = os.read(tap, 65536)
        if frame[12:14] == b"\x08\x06" and frame[38:42] == socket.inet_aton(address):
            return True
    return False
