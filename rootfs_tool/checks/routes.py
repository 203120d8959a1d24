"""Are the routes of the profile in the board's table?"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.network import Network

Route = tuple[IPv4Network | IPv6Network, IPv4Address | IPv6Address | None, str]

_LIST = "cd /proc/net; cat route; echo --"
_LIST_IPV6 = f"{_LIST}; cat ipv6_route 2>/dev/null"


class Routes(Check):
    """Every subnet has its route, the default route its gateway, and each static one is there."""

    type: Literal["routes"] = "routes"

    def subject(self, bench: Bench) -> Subject:
        return Subject(network=True)

    def run(self, bench: Bench) -> str:
        wanted = wanted_routes(bench.network)
        either = any(isinstance(to, IPv6Network) for to, _, _ in wanted)
        listed = bench.shell.run(_LIST_IPV6 if either else _LIST).text
        ipv4, _, ipv6 = listed.partition("--\n")
        there = {*parse(ipv4), *parse_ipv6(ipv6)}
        missing = [route for route in wanted if route not in there]
        if missing:
            raise CheckFailed(
                "no route " + ", ".join(_say(route) for route in missing),
                hint="on the board: " + "; ".join(_add(route) for route in missing),
            )
        leased = {one.name for one in bench.network.leased if one.default_route}
        found = [one for one in there if one[0] == _EVERYWHERE and one[2] in leased]
        return ", ".join(_say(route) for route in [*wanted, *found]) or "none in the profile"


_EVERYWHERE = IPv4Network("0.0.0.0/0")


def wanted_routes(network: Network) -> list[Route]:
    """The routes that the profile's addresses and gateways make, and its static ones."""
    subnets: list[Route] = [
        (subnet, None, one.name) for one in network.interface for subnet in one.subnets
    ]
    gateways: list[Route] = [
        (_EVERYWHERE, one.gateway, one.name) for one in network.interface if one.gateway is not None
    ]
    static: list[Route] = [
        (route.to, route.via, one.name)
        for one in network.interface
        for route in network.routes_of(one)
    ]
    return subnets + gateways + static


def parse(text: str) -> list[Route]:
    """Read /proc/net/route: hexadecimal addresses in little-endian order."""
    found: list[Route] = []
    for line in text.splitlines()[1:]:
        name, destination, gateway, _, _, _, _, mask = line.split()[:8]
        subnet = IPv4Network((_address(destination), str(_address(mask))))
        via = _address(gateway)
        found.append((subnet, via if int(via) else None, name))
    return found


def parse_ipv6(text: str) -> list[Route]:
    """Read /proc/net/ipv6_route: addresses as 32 hexadecimal digits, then flags and interface."""
    found: list[Route] = []
    for line in text.splitlines():
        destination, length, _, _, gateway, *_, name = line.split()
        subnet = IPv6Network((bytes.fromhex(destination), int(length, 16)))
        via = IPv6Address(bytes.fromhex(gateway))
        found.append((subnet, via if int(via) else None, name))
    return found


def _address(digits: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(digits)[::-1])


def _say(route: Route) -> str:
    subnet, gateway, name = route
    what = "default" if subnet.prefixlen == 0 else str(subnet)
    return f"{what} via {gateway}" if gateway else f"{what} on {name}"


def _add(route: Route) -> str:
    subnet, gateway, name = route
    if subnet == _EVERYWHERE:
        return f"route add default gw {gateway}"
    gw = f" gw {gateway}" if gateway else ""
    if isinstance(subnet, IPv6Network):
        return f"route -A inet6 add {subnet}{gw} dev {name}"
    if subnet.prefixlen == 32:
        return f"route add -host {subnet.network_address}{gw} dev {name}"
    return f"route add -net {subnet.network_address} netmask {subnet.netmask}{gw} dev {name}"
