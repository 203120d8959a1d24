"""The checks of the network, each against a board where it is right and where it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from rootfs_tool.checks.address import Address
from rootfs_tool.checks.base import Bench, CheckFailed, CheckSkipped
from rootfs_tool.checks.command import Command
from rootfs_tool.checks.loopback import Loopback
from rootfs_tool.checks.ping import Ping
from rootfs_tool.checks.routes import Routes
from rootfs_tool.network import Interface, Network, Route
from tests.checks.conftest import CARD

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

Start = Callable[..., Bench]
UP = f"{CARD} ifconfig eth0 192.0.2.2 netmask 255.255.255.0 up;"
LO = "ifconfig lo 127.0.0.1 up;"


def refused(check: Address | Command | Loopback | Ping | Routes, bench: Bench) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        check.run(bench)
    return caught.value


def test_lo_up_passes(board: Start) -> None:
    assert Loopback().run(board(LO)) == "127.0.0.1 up, answers"


def test_lo_down_is_named_with_its_error_and_the_line_that_mends_it(board: Start) -> None:
    bench = board()
    error = refused(Loopback(), bench)
    assert "lo is down" in str(error)
    assert "error 101" in str(error)
    assert str(error.hint).startswith("on the board: ifconfig lo 127.0.0.1 up")
    bench.shell.run("ifconfig lo 127.0.0.1 up")
    Loopback().run(bench)


def test_lo_with_a_wrong_address(board: Start) -> None:
    assert "127.0.0.9" in str(refused(Loopback(), board("ifconfig lo 127.0.0.9 up;")))


def test_an_interface_as_the_profile_says(board: Start) -> None:
    assert Address(interface="eth0").run(board(UP)) == "192.0.2.2/24 up, running"


def test_an_interface_that_is_not_there(board: Start) -> None:
    error = refused(Address(interface="eth0", wait=0), board())
    assert "the board has no eth0" in str(error)
    assert "modules" in str(error.hint)


def test_an_interface_without_an_address(board: Start) -> None:
    error = refused(Address(interface="eth0", wait=0), board(CARD))
    assert "eth0 is not configured" in str(error)
    assert "ifconfig eth0 192.0.2.2 netmask 255.255.255.0 up" in str(error.hint)


@pytest.mark.parametrize(
    "wrong", ["192.0.2.3 netmask 255.255.255.0", "192.0.2.2 netmask 255.0.0.0"]
)
def test_an_interface_with_another_address(board: Start, wrong: str) -> None:
    error = refused(Address(interface="eth0", wait=0), board(f"{CARD} ifconfig eth0 {wrong} up;"))
    assert "not 192.0.2.2/255.255.255.0" in str(error)


def test_a_cable_that_is_not_plugged_in(board: Start) -> None:
    error = refused(Address(interface="eth0", wait=0), board(f"{UP} ip link set other down;"))
    assert "eth0 has no link" in str(error)
    assert "cable" in str(error.hint)


def test_an_interface_that_comes_late_is_waited_for(board: Start) -> None:
    bench = board(f"{CARD} {{ sleep 0.5; ifconfig eth0 192.0.2.2 netmask 255.255.255.0 up; }} &")
    Address(interface="eth0", wait=10).run(bench)


def test_an_interface_that_the_profile_does_not_have(board: Start) -> None:
    with pytest.raises(CheckSkipped):
        Address(interface="eth1").run(board())


def test_routes_as_the_profile_says(board: Start) -> None:
    found = Routes().run(board(f"{UP} route add default gw 192.0.2.1;"))
    assert found == "192.0.2.0/24 on eth0, default via 192.0.2.1"


def test_a_missing_default_route_comes_with_the_line_that_adds_it(board: Start) -> None:
    bench = board(UP)
    error = refused(Routes(), bench)
    assert "default via 192.0.2.1" in str(error)
    assert error.hint == "on the board: route add default gw 192.0.2.1"
    bench.shell.run(error.hint.removeprefix("on the board: "))
    Routes().run(bench)


def test_a_missing_subnet_route_comes_with_the_line_that_adds_it(board: Start) -> None:
    bench = board(f"{UP} ip route flush dev eth0 scope link;")
    error = refused(Routes(), bench)
    assert error.hint is not None
    assert "route add -net 192.0.2.0 netmask 255.255.255.0 dev eth0" in error.hint
    bench.shell.run(error.hint.removeprefix("on the board: "))
    Routes().run(bench)


def test_ping(board: Start) -> None:
    bench = board(LO)
    assert Ping().run(bench) == "127.0.0.1 answers"
    error = refused(Ping(address=IPv4Address("192.0.2.77")), bench)
    assert "no answer from 192.0.2.77" in str(error)


def test_command(board: Start) -> None:
    bench = board()
    Command(command="exit 3", status=3).run(bench)
    Command(command="echo 'a b'", expect="a b").run(bench)
    assert "exited 1, not 0" in str(refused(Command(command="echo no; false"), bench))
    assert "'yes'" in str(refused(Command(command="echo no", expect="yes"), bench))


LEASED = Network(hostname="board", interface=(Interface(name="eth0", dhcp=True),))


def test_an_interface_without_a_lease(board: Start) -> None:
    bench = replace(board(f"{CARD} ip link set eth0 up;"), network=LEASED)
    error = refused(Address(interface="eth0", wait=0), bench)
    assert "eth0 has no lease: no DHCP server answers" in str(error)
    assert "udhcpc -n -q -i eth0" in str(error.hint)


def test_an_interface_without_one_of_its_addresses(board: Start) -> None:
    """Also on a board without ip: ifconfig lists the aliases alone."""
    addresses = tuple(map(IPv4Interface, ("192.0.2.2/24", "192.0.2.3/24", "198.51.100.1/32")))
    network = Network(hostname="board", interface=(Interface(name="eth0", address=addresses),))
    setup = f"{UP} ifconfig eth0:1 192.0.2.3 netmask 255.255.255.0 up; rm /mnt/ip;"
    bench = replace(board(setup), network=network)
    error = refused(Address(interface="eth0", wait=0), bench)
    assert str(error) == "eth0 has not 198.51.100.1/32"
    bench.shell.run("ifconfig eth0:2 198.51.100.1 netmask 255.255.255.255 up")
    found = Address(interface="eth0", wait=0).run(bench)
    assert found == "192.0.2.2/24, 192.0.2.3/24, 198.51.100.1/32 up, running"


def test_static_routes_of_both_kinds(board: Start) -> None:
    routes = (
        Route.model_validate({"to": "203.0.113.0/24", "via": "192.0.2.9"}),
        Route.model_validate({"to": "2001:db8:9::/48", "interface": "eth0"}),
    )
    network = board().network.model_copy(update={"route": routes})
    bench = replace(board(f"{UP} route add default gw 192.0.2.1;"), network=network)
    error = refused(Routes(), bench)
    assert "no route 203.0.113.0/24 via 192.0.2.9, 2001:db8:9::/48 on eth0" in str(error)
    bench.shell.run(str(error.hint).removeprefix("on the board: "))
    assert Routes().run(bench).endswith("203.0.113.0/24 via 192.0.2.9, 2001:db8:9::/48 on eth0")
