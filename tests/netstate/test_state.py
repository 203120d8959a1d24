"""What kernels say of their network, read: recordings of several boards, and rubbish."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootfs_tool.netstate import State, outside, parse
from rootfs_tool.netstate.interfaces import Interface
from rootfs_tool.netstate.listening import Listening, listening
from rootfs_tool.netstate.routes import towards

RECORDED = Path(__file__).parent.parent / "data" / "netstate"
BUSY = ("iproute2", "busybox-ifconfig", "not-root")


def recorded(name: str) -> State:
    return parse((RECORDED / f"{name}.txt").read_text())


def interface(state: State, name: str) -> Interface:
    return next(one for one in state.interfaces if one.name == name)


def at(state: State, port: int, protocol: str = "tcp") -> list[Listening]:
    return [one for one in listening(state) if (one.port, one.protocol) == (port, protocol)]


def test_the_interfaces_of_a_booted_board() -> None:
    state = recorded("qemu-aarch64")
    assert state.hostname == "qemu-aarch64"
    assert [one.name for one in state.interfaces] == ["lo", "eth0"]
    eth0 = interface(state, "eth0")
    assert [str(one) for one in eth0.addresses] == [
        *("10.0.2.15/24", "192.0.2.1/32"),  # the second is eth0:1
        *("fe80::5054:ff:fe12:3456/64", "fec0::5054:ff:fe12:3456/64"),
    ]
    assert (eth0.mac, eth0.mtu, eth0.speed) == ("52:54:00:12:34:56", 1500, None)
    assert (eth0.up, eth0.carrier) == (True, True)
    assert eth0.received.packets > 0
    assert eth0.sent.errors == 0
    assert interface(state, "lo").mac is None


def test_another_board_with_another_card() -> None:
    state = recorded("raspberrypi3-qemu")
    eth0 = interface(state, "eth0")
    assert eth0.addresses[0] == ip_interface("10.0.2.15/24")
    assert (eth0.received.packets, eth0.sent.packets) == (3, 10)
    (telnet,) = at(state, 23)
    assert telnet.open_to == "10.0.2.15 only"
    assert [one.name for one in telnet.programs] == ["telnetd"]


@pytest.mark.parametrize("name", BUSY)
def test_interfaces_however_their_addresses_were_asked_for(name: str) -> None:
    state = recorded(name)
    eth0, eth1 = interface(state, "eth0"), interface(state, "eth1")
    assert eth0.addresses[0] == ip_interface("192.0.2.2/24")
    assert (eth0.mtu, eth0.speed, eth0.duplex) == (1400, 10000, "full")
    assert eth1.addresses == (ip_interface("192.0.2.130/25"),)
    assert (eth1.up, eth1.carrier) == (False, None)
    assert interface(state, "eth1peer").addresses == ()
    assert [str(one) for one in interface(state, "lo").addresses] == ["127.0.0.1/8", "::1/128"]


def test_an_address_with_a_peer() -> None:
    assert ip_interface("203.0.113.1/32") in interface(recorded("iproute2"), "eth0").addresses


def test_another_ifconfig() -> None:
    """net-tools 2 on Debian; BusyBox of before has other words for the same."""
    said = """
eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 192.0.2.7  netmask 255.255.255.192  broadcast 192.0.2.63
        inet6 fe80::1  prefixlen 64  scopeid 0x20<link>

eth0:1: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 198.51.100.1  netmask 255.255.255.255  broadcast 0.0.0.0
"""
    device = "eth0: " + "0 " * 16
    state = parse(f"==> net/dev <==\n{device}\n==> addresses <=={said}")
    assert interface(state, "eth0").addresses == (
        *(ip_interface("192.0.2.7/26"), ip_interface("198.51.100.1/32")),
    )
    assert interface(state, "eth0").up is None


def test_routes_neighbours_and_name_servers() -> None:
    state = recorded("iproute2")
    routes = {str(one.destination): one for one in state.routes}
    assert [one for one in routes if routes[one].default] == ["0.0.0.0/0"]
    assert routes["0.0.0.0/0"].gateway == IPv4Address("192.0.2.1")
    assert routes["192.0.2.0/24"].gateway is None
    assert routes["203.0.113.64/26"].rejects
    assert routes["2001:db8:1::/48"].gateway == IPv6Address("fe80::1")
    assert not any(one.destination.is_multicast for one in state.routes)
    assert state.name_servers == (ip_address("192.0.2.53"), ip_address("2001:db8::53"))
    there = {str(one.address): one for one in state.neighbours}
    assert (there["192.0.2.9"].mac, there["192.0.2.9"].state) == ("02:00:00:00:00:09", "permanent")


def test_a_route_to_nowhere() -> None:
    """A blackhole's has no interface, and no flag that says so (fib_flag_trans)."""
    head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT"
    said = "*\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"
    (one,) = parse(f"==> net/route <==\n{head}\n{said}\n").routes
    assert (str(one.destination), one.rejects) == ("192.0.2.0/24", True)


def test_a_neighbour_that_answers_and_one_that_does_not() -> None:
    there = {str(one.address): one for one in recorded("qemu-aarch64").neighbours}
    assert (there["10.0.2.2"].mac, there["10.0.2.2"].state) == ("52:55:0a:00:02:02", "complete")
    assert (there["10.0.2.77"].mac, there["10.0.2.77"].state) == (None, "incomplete")
    assert (there["fe80::2"].mac, there["fe80::2"].state) == ("52:56:00:00:00:02", "stale")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.9", "192.0.2.0/24"),
        ("203.0.113.2", "203.0.113.2/32"),
        ("203.0.113.65", "203.0.113.64/26"),
        ("8.8.8.8", "0.0.0.0/0"),
    ],
)
def test_the_way_to_an_address(address: str, network: str) -> None:
    way = towards(recorded("iproute2").routes, IPv4Address(address))
    assert way is not None
    assert way.destination == ip_network(network)


def test_no_way_at_all() -> None:
    assert towards((), IPv4Address("192.0.2.1")) is None


@pytest.mark.parametrize("name", BUSY)
@pytest.mark.parametrize(
    ("port", "protocol", "open_to", "over_ipv4"),
    [
        (80, "tcp", ["all addresses, IPv6 too"], [True]),
        (443, "tcp", ["all addresses", "all addresses of IPv6"], [True, False]),
        (7000, "tcp", ["all addresses"], [True]),
        (8088, "tcp", ["192.0.2.2 only"], [True]),  # a socket of IPv6: ::ffff:192.0.2.2
        (8090, "tcp", ["198.51.100.9, which the board has not"], [True]),
        (9000, "tcp", ["loopback only"], [True]),
        (69, "udp", ["all addresses"], [True]),
        (137, "udp", ["broadcasts to 192.0.2.255"], [True]),
        (5353, "udp", ["the group 224.0.0.251"], [True]),
        (1, "raw", ["all addresses"], [True]),
    ],
)
def test_whom_it_is_open_to(
    name: str, port: int, protocol: str, open_to: list[str], over_ipv4: list[bool]
) -> None:
    found = at(recorded(name), port, protocol)
    assert [one.open_to for one in found] == open_to
    assert [one.over_ipv4 for one in found] == over_ipv4


def test_ipv6_alone_where_that_is_the_default() -> None:
    text = (RECORDED / "iproute2.txt").read_text()
    heading = "==> sys/net/ipv6/bindv6only <==\n"
    assert f"{heading}0" in text
    (found,) = at(parse(text.replace(f"{heading}0", f"{heading}1")), 80)
    assert (found.open_to, found.over_ipv4) == ("all addresses of IPv6", False)


def test_whose_sockets_they_are() -> None:
    state = recorded("qemu-aarch64")
    (web,) = at(state, 8080)
    (program,) = web.programs
    assert (program.name, program.user, web.user) == ("httpd", "nobody", "nobody")
    assert program.command == "/usr/bin/busybox httpd -f -p 8080 -h /www"
    (shared,) = at(recorded("iproute2"), 7000)
    assert (shared.sockets, len({one.pid for one in shared.programs})) == (2, 2)
    unseen = recorded("not-root")
    assert not unseen.root
    assert all(one.programs == () for one in listening(unseen))
    assert {one.user for one in listening(unseen)} == {"root"}


@pytest.mark.parametrize(
    ("name", "port", "there", "unknown"),
    [
        ("iproute2", 80, True, True),
        ("iproute2", 9000, False, False),
        ("iproute2", 8090, False, None),
        ("qemu-aarch64", 8082, True, None),
        ("qemu-aarch64", 8084, False, False),  # [::1]
    ],
)
def test_who_reaches_it(name: str, port: int, there: bool, unknown: bool | None) -> None:
    (found,) = at(recorded(name), port)
    assert found.covers(IPv4Address("10.0.2.15")) is there
    assert found.covers(None) is unknown


def test_connections_that_nobody_has_accepted() -> None:
    (found,) = at(recorded("iproute2"), 9000)
    assert found.waiting == 2


def test_connections_with_both_ends() -> None:
    there = [one for one in recorded("iproute2").sockets if not one.listens]
    to_9000 = [one for one in there if one.peer_port == 9000]
    assert len(to_9000) == 3
    assert {(str(one.peer), one.state) for one in to_9000} == {("127.0.0.1", "ESTABLISHED")}
    (query,) = (one for one in there if one.protocol == "udp")
    assert (str(query.peer), query.peer_port) == ("192.0.2.1", 53)
    (gone,) = (one for one in there if one.state == "TIME_WAIT")
    assert gone.inode == 0


def test_names_of_ports() -> None:
    state = recorded("iproute2")
    names = {(one.protocol, one.port): one.service for one in listening(state)}
    assert names["tcp", 80] == "http"
    assert names["udp", 69] == "tftp"
    assert names["raw", 1] == "icmp"
    assert names["tcp", 9100] in (None, "jetdirect")  # what this host's /etc/services says


def test_a_board_on_the_user_network_is_told_from_another() -> None:
    for name in ("qemu-aarch64", "raspberrypi3-qemu"):
        assert outside.of_user_network(recorded(name))
    assert not outside.of_user_network(recorded("iproute2"))


def test_nothing_is_said() -> None:
    state = parse("")
    assert state.interfaces == ()
    assert listening(state) == ()
    assert not state.root


HEADINGS = [
    line for line in (RECORDED / "iproute2.txt").read_text().splitlines() if line.startswith("==> ")
]
LINES = [line for name in BUSY for line in (RECORDED / f"{name}.txt").read_text().splitlines()]


@given(
    st.lists(st.one_of(st.sampled_from(HEADINGS), st.sampled_from(LINES), st.text()), max_size=40)
)
def test_whatever_a_board_says_is_read(lines: list[str]) -> None:
    """Lines of one file in another, and text: what is no entry is left out, and nothing raises."""
    listening(parse("\n".join(lines)))


@given(st.data())
def test_a_recording_with_holes(data: st.DataObject) -> None:
    text = (RECORDED / "iproute2.txt").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    listening(parse(text[:start] + text[end:]))
