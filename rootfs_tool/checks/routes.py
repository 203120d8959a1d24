"""Are the routes of the profile in the board's table?"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.network import Network

Route = tuple[IPv4Network, IPv4Address | None, str]


class Routes(Check):
    """Every subnet has its route, and the default route its gateway."""

    type: Literal["routes"] = "routes"

    def run(self, bench: Bench) -> str:
        there = set(parse(bench.shell.run("cat /proc/net/route").text))
        wanted = wanted_routes(bench.network)
        missing = [route for route in wanted if route not in there]
        if missing:
            raise CheckFailed(
                "no route " + ", ".join(_say(route) for route in missing),
                hint="on the board: " + "; ".join(_add(route) for route in missing),
            )
        return ", ".join(_say(route) for route in wanted)


def wanted_routes(network: Network) -> list[Route]:
    """The routes that the profile's addresses and gateways make."""
    subnets: list[Route] = [(one.address.network, None, one.name) for one in network.interface]
    everywhere = IPv4Network("0.0.0.0/0")
    return subnets + [
        (everywhere, one.gateway, one.name) for one in network.interface if one.gateway is not None
    ]


def parse(text: str) -> list[Route]:
    """Read /proc/net/route: hexadecimal addresses in little-endian order."""
    found: list[Route] = []
    for line in text.splitlines()[1:]:
        name, destination, gateway, _, _, _, _, mask = line.split()[:8]
        subnet = IPv4Network((_address(destination), str(_address(mask))))
        via = _address(gateway)
        found.append((subnet, via if int(via) else None, name))
    return found


def _address(digits: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(digits)[::-1])


def _say(route: Route) -> str:
    subnet, gateway, name = route
    return f"default via {gateway}" if gateway else f"{subnet} on {name}"


def _add(route: Route) -> str:
    subnet, gateway, name = route
    if gateway:
        return f"route add default gw {gateway}"
    return f"route add -net {subnet.network_address} netmask {subnet.netmask} dev {name}"
