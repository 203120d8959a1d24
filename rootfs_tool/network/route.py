"""A static route: which destinations are reached through whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, Any

from rootfs_tool.loading import did_you_mean
from rootfs_tool.model import Model, Parsed
from rootfs_tool.network.interface import InterfaceName
from rootfs_tool.network.rows import plain, text, texts


def _destination(word: str) -> IPv4Network | IPv6Network:
    try:
        found = ip_interface(word)
    except ValueError:
        raise ValueError(f'must be a subnet, like "10.9.0.0/16", not "{word}"') from None
    if not word.partition("/")[2].isdecimal():
        raise ValueError(f'needs the length of its prefix, like "{found.network}"')
    if found.ip != found.network.network_address:
        raise ValueError(f'{found.ip} is a host of it; did you mean "{found.network}"?')
    if found.network == IPv4Network("0.0.0.0/0"):
        raise ValueError("the default route is the gateway of an interface")
    return found.network


def _host(word: str) -> IPv4Address | IPv6Address:
    try:
        found = ip_address(word)
    except ValueError:
        raise ValueError(f'must be an IP address, not "{word}"') from None
    if "%" in word:
        raise ValueError(f'must be an address alone, "{word.partition("%")[0]}", without its zone')
    return found


Host = Annotated[IPv4Address | IPv6Address, Parsed(_host, "^[0-9A-Fa-f.:]+$")]


class Route(Model):
    to: Annotated[IPv4Network | IPv6Network, Parsed(_destination, "^[0-9A-Fa-f.:]+/[0-9]+$")]
    """The subnet that it leads to, "10.9.0.0/16"; "::/0" is the rest of IPv6."""

    via: Host | None = None
    """The router; without one, the subnet is on the interface's own cable."""

    interface: InterfaceName | None = None
    """The interface; without one, that which has the router in its subnet."""


def sound(
    rows: Sequence[Any], interfaces: Sequence[Any]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each destination once, on an interface there is, by a router that can be reached."""
    names = list(filter(None, (text(one, "name") for one in interfaces)))
    leased = {text(one, "name") for one in interfaces if text(one, "dhcp") == "True"}
    known: dict[str, str] = {}
    for index, row in enumerate(rows):
        to, via, name = text(row, "to"), plain(text(row, "via")), text(row, "interface")
        if to in known:
            yield (index, "to"), f"{known[to]} leads to {to} already"
        elif to:
            known[to] = f"route[{index}]"
        if name and name not in names:
            guess = did_you_mean(name, names) or f"; there is {', '.join(names) or 'none'}"
            yield (index, "interface"), f'no interface is called "{name}"{guess}'
        elif not name and not via:
            yield (index, "via"), "is missing, or interface for what is on its cable"
        elif via and name not in leased and (why := _astray(to, via, name, interfaces)):
            yield (index, "via"), why


def _astray(to: str, via: str, name: str, interfaces: Sequence[Any]) -> str | None:
    """Why a router can't be reached; None too where one of the words is no address at all."""
    try:
        router, there = ip_address(via), ip_network(to)
    except ValueError:
        return None
    if "%" in via:
        return None
    if router.version != there.version:
        return f"{via} is IPv{router.version}, {to} is IPv{there.version}"
    if router.is_link_local:
        return None if name else f"{via} is on every cable: name the interface"
    if leads(via, interfaces, name or None) is None:
        where = name or "any interface"
        return f"{via} is in no subnet of {where}; of one with dhcp, name the interface"
    return None


def leads(via: str, interfaces: Sequence[Any], only: str | None = None) -> str | None:
    """The name of the first interface with a router in its subnets; ``only`` is to be that one."""
    router = ip_address(via)
    for one in interfaces:
        name = text(one, "name")
        for address in texts(one, "address") if only in (None, name) else ():
            try:
                if router in ip_interface(address).network:
                    return name
            except ValueError:
                continue
    return None
