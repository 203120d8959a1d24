"""What the interfaces of a profile may not be to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from rootfs_tool.loading import did_you_mean
from rootfs_tool.network.interface import LONGEST_NAME, label
from rootfs_tool.network.rows import plain, table, text, texts

Mistakes = Iterator[tuple[tuple[str | int, ...], str]]


def together(rows: Sequence[Any]) -> Mistakes:
    """No name or address twice, one default route, each gateway in a subnet, parents that are."""
    yield from _names(rows)
    yield from _addresses(rows)
    yield from _routers(rows)
    parents = {_parent(row) for row in rows}
    for index, row in enumerate(rows):
        for key, reason in (*_alone(row, parents), *_vlan(row, rows[:index])):
            yield (index, *key), reason


def _names(rows: Sequence[Any]) -> Mistakes:
    names = {"lo": "the loopback interface"}
    for index, row in enumerate(rows):
        for key in ("name", "kernel-name"):
            if (name := text(row, key)) in names:
                yield (index, key), f"{names[name]} is called {name} already"
            elif name:
                names[name] = f"interface[{index}]"


def _addresses(rows: Sequence[Any]) -> Mistakes:
    addresses: dict[str, str] = {}
    for index, row in enumerate(rows):
        found = texts(row, "address")
        for at, address in enumerate(found):
            key = (index, "address", at) if len(found) > 1 else (index, "address")
            if (host := plain(address.partition("/")[0])) in addresses:
                yield key, f"{addresses[host]} has {host} already"
            elif host:
                addresses[host] = f"interface[{index}]"
            if at == 0 and address.endswith("/32") and text(row, "type") != "dummy":
                yield key, "a prefix of 32 makes no subnet; /24 is common"


def _routers(rows: Sequence[Any]) -> Mistakes:
    router = None
    for index, row in enumerate(rows):
        gateway, leased = text(row, "gateway"), text(row, "dhcp") == "True"
        if leased and gateway:
            yield (index, "gateway"), "dhcp = true: the lease says what the gateway is"
        elif gateway and router is not None:
            yield (index, "gateway"), f"{router} has the default gateway already"
        elif leased and router is not None and text(row, "default-route") != "False":
            reason = f"{router} has the default gateway already: default-route = false takes none"
            yield (index, "dhcp"), reason
        if gateway or (leased and text(row, "default-route") != "False"):
            router = router or f"interface[{index}]"
        if why := _unreachable(gateway, texts(row, "address")):
            yield (index, "gateway"), why


def _unreachable(gateway: str, addresses: Sequence[str]) -> str | None:
    """Why a gateway cannot be reached from addresses; None too if one is not one at all."""
    try:
        router = IPv4Address(gateway)
        here = [IPv4Interface(one) for one in addresses if "/" in one and ":" not in one]
    except ValueError:
        return None
    subnets = [one.network for one in here]
    if not here:
        return None
    if not any(router in subnet for subnet in subnets):
        plural = "s" if len(subnets) > 1 else ""
        return f"{router} is outside the subnet{plural} {', '.join(map(str, subnets))}"
    if router in (one.ip for one in here):
        return f"{router} is the board's own address, not its router's"
    for subnet in subnets:
        if subnet.prefixlen < 31 and router in (subnet.network_address, subnet.broadcast_address):
            return f"{router} is no host of the subnet {subnet}"
    return None


def _alone(row: Any, parents: set[str]) -> Mistakes:
    """What keys of one interface say against each other."""
    addresses, name = texts(row, "address"), text(row, "name")
    ipv4 = [one for one in addresses if ":" not in one]
    if text(row, "dhcp") == "True":
        if ipv4:
            yield ("address",), "dhcp = true gives it one; for when no lease comes: fallback"
        if text(row, "type") == "dummy":
            yield ("dhcp",), "no server can answer on a dummy"
    elif not addresses and name not in parents and text(row, "accept-ra") != "True":
        yield ("address",), "is missing"
    if text(row, "fallback") and text(row, "dhcp") != "True":
        yield ("fallback",), "is for dhcp = true"
    if len(last := label(name, max(len(ipv4) - 1, 0))) > LONGEST_NAME >= len(name):
        reason = f"its alias would be called {last}, which has more than {LONGEST_NAME} characters"
        yield ("address",), reason
    mtu = text(row, "mtu")
    if mtu.isdecimal() and 68 <= int(mtu) < 1280 and len(ipv4) < len(addresses):
        yield ("mtu",), f"IPv6 needs 1280 or more (RFC 8200), not {mtu}"


def _vlan(row: Any, before: Sequence[Any]) -> Mistakes:
    dummy, vlan = text(row, "type") == "dummy", table(row, "vlan") is not None
    if dummy and vlan:
        yield ("vlan",), 'is for what has a cable, not for type = "dummy"'
    if text(row, "kernel-name") and (dummy or vlan):
        yield ("kernel-name",), "is for what the kernel finds; this one is made by its name"
    parent, names = _parent(row), [text(one, "name") for one in before]
    if parent and parent not in names:
        guess = did_you_mean(parent, names) or "; it comes before its VLANs"
        yield ("vlan", "parent"), f'no interface before it is called "{parent}"{guess}'
    for one in before:
        mtu, most = text(row, "mtu"), text(one, "mtu") or "1500"
        if text(one, "name") != parent or not (mtu.isdecimal() and most.isdecimal()):
            continue
        if int(mtu) > int(most):
            yield ("mtu",), f"is more than the {most} of {parent}, its parent"


def _parent(row: Any) -> str:
    return text(table(row, "vlan"), "parent")
