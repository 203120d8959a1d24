"""The ways that this host has already: the one to the world, and those that ours would hide."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostnet.lab import ROUTER, UPLINK, lab

pytestmark = pytest.mark.root


def test_an_uplink_that_is_gone_is_named(tmp_path: Path) -> None:
    with lab(tmp_path, "u") as alone:
        before = alone.sh("nft list ruleset")
        assert alone.rootfs_tool("hostnet", "up").status == 0
        alone.sh(f"ip link delete dev {UPLINK}")
        ran = alone.rootfs_tool("hostnet", "status")
        assert (ran.status, "MISSING: uplink" in ran.stdout) == (1, True)
        ran = alone.rootfs_tool("hostnet", "up")
        assert ran.status == 2
        assert f"error: tap0 is up, but its uplink {UPLINK} is gone" in ran.stderr
        assert "hint: rootfs-tool hostnet down tap0, then the same again" in ran.stderr
        assert alone.rootfs_tool("hostnet", "down").status == 0
        assert alone.sh("nft list ruleset") == before
        assert "tap0" not in alone.sh("ip link")


@pytest.mark.parametrize(
    ("setup", "status", "said"),
    [
        (
            "ip address add 10.0.3.9/16 dev lan",  # a network that is larger than ours, and has it
            2,
            "10.0.0.0/24 is a part of 10.0.0.0/16, the network at lan: who has an address of it",
        ),
        (
            f"ip route add 10.0.0.0/8 via {ROUTER}",
            0,
            f"10.0.0.0/24 is a part of 10.0.0.0/8, to which a route by {UPLINK} leads",
        ),
        (
            # as a DHCP client may do it
            "ip address add 10.0.3.9/16 dev lan noprefixroute; ip route add 10.0.0.0/16 dev lan",
            2,
            "10.0.0.0/24 is a part of 10.0.0.0/16, the network at lan: who has an address of it",
        ),
        (
            "ip address add 10.8.0.2/24 dev lan; ip route add 10.0.0.0/8 dev lan",  # as a tunnel's
            0,
            "10.0.0.0/24 is a part of 10.0.0.0/8, to which a route by lan leads",
        ),
        (
            # as those of a tunnel for everything
            "for half in 0 128; do ip route add $half.0.0.0/1 dev lan; done",
            0,
            "tap0: 10.0.0.1/24, NAT to lan",
        ),
        ("ip address add 10.0.0.1/32 dev lan", 2, "10.0.0.1 is an address of lan already"),
        (
            f"ip route replace default nexthop via {ROUTER} nexthop via 203.0.113.3",
            0,
            f"tap0: 10.0.0.1/24, NAT to {UPLINK}",
        ),
    ],
)
def test_what_else_this_host_is_connected_to(
    tmp_path: Path, setup: str, status: int, said: str
) -> None:
    with lab(tmp_path, "o") as other:
        other.sh(f"ip link add lan type veth peer name nal; ip link set lan up; {setup}")
        ran = other.rootfs_tool("hostnet", "up")
        assert ran.status == status, ran.said
        assert said in ran.said
        assert other.rootfs_tool("hostnet", "down").status == 0


def test_another_address_is_proposed_while_one_is_left(tmp_path: Path) -> None:
    """Not one that would be refused again."""
    with lab(tmp_path, "p") as private:
        private.sh("ip link add lan type veth peer name nal; ip link set lan up")
        hints = []
        for line in (
            "ip address add 10.0.0.9/8 dev lan",
            "ip route add 172.16.0.0/12 dev lan; ip route add 192.168.0.0/16 dev lan",
            "ip route add 172.30.1.0/24 dev lan",
            "ip address add 172.16.0.9/12 dev lan; ip address add 192.168.0.9/16 dev lan",
        ):
            private.sh(line)
            ran = private.rootfs_tool("hostnet", "up")
            assert (ran.status, "the network at lan" in ran.stderr) == (2, True)
            hints.append(ran.stderr.partition("hint:")[2].strip())
        proposed = [f"--tap tap0 --address 172.30.{third}.1/24" for third in (1, 1, 2)]
        assert hints == [*proposed, ""]
