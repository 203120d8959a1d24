"""Firewalls that are there already: seen through, never touched, and the lines for them work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.hostnet.lab import FAR, Lab
from tests.hostnet.world import CONTENT, PORT, answering, board

pytestmark = pytest.mark.root

NOTHING_FORWARDED = """
nft -f - <<'END'
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname "lo" accept
		tcp dport { 22, 80-90 } accept
	}
	chain forward { type filter hook forward priority filter; policy drop; }
}
END
"""
REJECTED_AT_THE_END = """
nft -f - <<'END'
table inet mine {
	chain others { iifname { "wg0", "docker*" } accept; ip daddr 192.0.2.0/24 drop; return; }
	chain forward {
		type filter hook forward priority -5; policy accept;
		ct state established,related accept
		jump others
		meta l4proto { tcp, udp } limit rate 5/second log
		reject
	}
}
END
"""
LIMITED = """
nft -f - <<'END'
table ip mine {
	chain forward {
		type filter hook forward priority 0; policy accept;
		iifname "tap0" limit rate over 1/minute burst 1 packets drop
	}
}
END
"""
# As a container engine leaves it: a policy of drop, a chain for the user's own lines, isolation.
CONTAINERS = """
for tool in iptables-nft; do
    $tool -N DOCKER-USER; $tool -A DOCKER-USER -j RETURN
    $tool -N DOCKER-ISOLATION; $tool -A DOCKER-ISOLATION -i docker0 ! -o docker0 -j DROP
    $tool -A FORWARD -j DOCKER-USER
    $tool -A FORWARD -j DOCKER-ISOLATION
    $tool -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    $tool -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
    $tool -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
    $tool -P FORWARD DROP
done
"""
OLD_IPTABLES = """
iptables-legacy -N ufw-user-forward
iptables-legacy -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-legacy -A FORWARD -j ufw-user-forward
iptables-legacy -A FORWARD -m comment --comment "all else" -j DROP
"""
HARMLESS = """
nft -f - <<'END'
table inet filter {
	set bad { type ipv4_addr; elements = { 192.0.2.66 } }
	chain input { type filter hook input priority filter; policy accept; iifname "eth0" drop; }
	chain forward {
		type filter hook forward priority filter; policy drop;
		iifname "eth7" drop
		ct state vmap { established : accept, related : accept, invalid : drop }
		ip saddr != 10.0.0.0/8 drop
		iifname "tap*" oifname "eth0" counter accept
	}
}
table ip odd {
	chain forward {
		type filter hook forward priority 10; policy accept;
		ip saddr 192.0.2.1-192.0.2.9 ip dscp 46 counter
		fib daddr type local counter
		tcp flags & (syn | ack) == syn counter
		@nh,8,16 22 counter meta mark set 7
		ip saddr & 255.0.0.0 == 11.0.0.0 log prefix "odd"
		udp dport vmap { 53 : accept, 9000-9010 : continue }
		icmp type echo-request accept
		ct mark 5 meta length > 1000 accept
	}
}
table netdev unrelated { }
END
iptables-nft -A FORWARD -m conntrack --ctstate INVALID -j DROP
iptables-nft -A FORWARD -s 10.0.0.64/26 -d 192.0.2.1 -p tcp -m tcp --dport 25 -j LOG
"""


@pytest.fixture
def walled(host: Lab) -> Iterator[Lab]:
    yield host
    host.sh("nft flush ruleset; iptables-legacy -F; iptables-legacy -X")


def lines_of(said: str) -> str:
    return said.partition("then again:\n")[2]


def reaches(host: Lab, seconds: float = 8) -> bool:
    with answering(host), board(host) as stack:
        try:
            return stack.fetch(FAR, PORT, b"all", seconds=seconds) == CONTENT
        except TimeoutError:
            return False


@pytest.mark.parametrize(
    ("firewall", "reason", "line"),
    [
        (
            NOTHING_FORWARDED,
            "chain forward of inet filter stops what boards send to eth0: its policy is drop",
            'nft insert rule inet filter forward iifname "tap0" oifname "eth0" accept',
        ),
        (
            REJECTED_AT_THE_END,
            "chain forward of inet mine stops what boards send to eth0: rule with handle",
            'nft insert rule inet mine forward iifname "tap0" oifname "eth0" accept',
        ),
        (
            LIMITED,
            "chain forward of ip mine may stop what boards send to eth0: not understood: rule",
            'nft insert rule ip mine forward iifname "tap0" oifname "eth0" accept',
        ),
        (
            CONTAINERS,
            "chain FORWARD of iptables-nft's filter stops what boards send to eth0: its policy",
            "iptables-nft -I DOCKER-USER -i tap0 -o eth0 -j ACCEPT",
        ),
    ],
    ids=["policy", "reject", "limit", "containers"],
)
def test_what_would_stop_boards_is_left_alone_and_named(
    walled: Lab, firewall: str, reason: str, line: str
) -> None:
    walled.sh(firewall)
    before = walled.snapshot()
    assert line in walled.rootfs_tool("hostnet", "up", "--print").stdout
    ran = walled.rootfs_tool("hostnet", "up")
    assert ran.status == 2
    assert reason in ran.stderr
    assert line in lines_of(ran.stderr)
    assert walled.snapshot() == before
    walled.sh(lines_of(ran.stderr))  # the lines that it prints are those that help
    ran = walled.rootfs_tool("hostnet", "up")
    assert ran.status == 0, ran.said
    assert reaches(walled)


def test_a_firewall_that_lets_boards_through_is_understood(walled: Lab) -> None:
    walled.sh(HARMLESS)
    ran = walled.rootfs_tool("hostnet", "up")
    assert (ran.status, "note" in ran.stderr) == (0, False), ran.said
    assert reaches(walled)


def test_rules_of_the_old_iptables_count_too(walled: Lab) -> None:
    walled.sh(OLD_IPTABLES)
    ran = walled.rootfs_tool("hostnet", "up")
    assert "chain FORWARD of iptables-legacy's filter stops" in ran.stderr
    assert '-A FORWARD -m comment --comment "all else" -j DROP' in ran.stderr
    assert lines_of(ran.stderr) == "ufw route allow in on tap0 out on eth0\n"


def test_it_is_true_that_boards_would_be_stopped(walled: Lab) -> None:
    """Set up first, and walled then: so the packets say themselves whether they pass."""
    assert walled.rootfs_tool("hostnet", "up").status == 0
    assert reaches(walled)
    walled.sh(NOTHING_FORWARDED)
    assert not reaches(walled, seconds=0.6)
    ran = walled.rootfs_tool("hostnet", "up")  # which says so when it is asked again
    assert "its policy is drop" in ran.stderr
    assert walled.rootfs_tool("hostnet", "down").status == 0


def test_a_closed_input_matters_to_leases_and_is_noted_for_tftp(walled: Lab) -> None:
    walled.sh(NOTHING_FORWARDED)
    ran = walled.rootfs_tool("hostnet", "up", "--uplink", "none", "--dhcp")
    assert ran.status == 2
    assert "what boards send to this host's DHCP server: its policy is drop" in ran.stderr
    ran = walled.rootfs_tool("hostnet", "up", "--uplink", "none")
    assert ran.status == 0
    assert "note: chain input of inet filter stops what boards send to this host's" in ran.stderr
    assert 'nft insert rule inet filter input iifname "tap0" accept' in ran.stderr


def test_without_nft_and_iptables_the_package_is_named(host: Lab) -> None:
    tools = [shutil.which(name) for name in ("nft", "xtables-nft-multi")]
    mounts = "; ".join(f"mount --bind /dev/null {tool}" for tool in tools)
    ran = replace(host, mounts=mounts).rootfs_tool("hostnet", "up")
    assert ran.status == 3
    assert "hint: apt install nftables" in ran.stderr
