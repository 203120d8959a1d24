"""The board's network: interfaces, addresses, routes and names, as ifconfig and route want them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Annotated, Any

from rootfs_tool.model import AtOnce, Field, Matching, Model, field_validator

# IFNAMSIZ of linux/if.h is 16 with the final NUL. Linux takes nearly every character; a colon is
# an alias to ifconfig, and a leading digit or hyphen reads as an address or an option.
InterfaceName = Annotated[
    str,
    Matching(
        "[A-Za-z][A-Za-z0-9_.-]{0,14}",
        "an interface's name: a letter, then up to 14 letters, digits, dots, hyphens, underscores",
    ),
]

# One label of RFC 1123, section 2.1.
HostName = Annotated[
    str,
    Matching(
        "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?",
        "a host name: up to 63 letters, digits and hyphens, no hyphen first or last",
    ),
]


class Interface(Model):
    name: InterfaceName
    """What the board calls it, such as eth0."""

    kernel_name: InterfaceName | None = None
    """What the kernel calls it at first, if that is something else: it is renamed."""

    address: IPv4Interface = Field(
        json_schema_extra={"pattern": r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$"}
    )
    """Its IPv4 address and the length of its subnet's prefix: "10.0.2.15/24"."""

    gateway: IPv4Address | None = None
    """The router of its subnet, through which everything else is reached."""

    wait: int = Field(default=10, ge=0, le=600)
    """Seconds to wait for it to appear while the board starts; USB takes a few."""

    @field_validator("address", mode="before")
    @classmethod
    def _prefix(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        _, slash, length = value.partition("/")
        if not slash:
            raise ValueError(f'needs the length of its prefix, like "{value}/24"')
        try:
            parsed = IPv4Interface(value)
        except ValueError as error:
            raise ValueError(f'"{value}" is no IPv4 address with a prefix: {error}') from None
        if not re.fullmatch("[0-9]{1,2}", length):
            raise ValueError(f'"{length}" is a netmask; did you mean "{parsed.with_prefixlen}"?')
        return value

    @field_validator("address")
    @classmethod
    def _of_a_host(cls, address: IPv4Interface) -> IPv4Interface:
        subnet = address.network
        if subnet.prefixlen in (0, 32):
            raise ValueError(f"a prefix of {subnet.prefixlen} makes no subnet; /24 is common")
        if address.is_loopback or address.is_multicast or address.is_unspecified:
            raise ValueError(f"{address.ip} is not the address of one host on a network")
        if subnet.prefixlen < 31:  # two hosts may share a /31 (RFC 3021)
            hosts = f"hosts are {subnet.network_address + 1} to {subnet.broadcast_address - 1}"
            if address.ip == subnet.network_address:
                raise ValueError(f"{address.ip} is the address of the subnet itself; {hosts}")
            if address.ip == subnet.broadcast_address:
                raise ValueError(f"{address.ip} is the subnet's broadcast address; {hosts}")
        return address


def _together(rows: Sequence[Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """No name twice, no address twice, one default gateway, each gateway in its subnet."""
    names = {"lo": "the loopback interface"}
    addresses: dict[str, str] = {}
    router = None
    for index, row in enumerate(rows):
        here = f"interface[{index}]"
        for key in ("name", "kernel-name"):
            if (name := _text(row, key)) in names:
                yield (index, key), f"{names[name]} is called {name} already"
            elif name:
                names[name] = here
        address, gateway = _text(row, "address"), _text(row, "gateway")
        if (host := address.partition("/")[0]) in addresses:
            yield (index, "address"), f"{addresses[host]} has {host} already"
        elif host:
            addresses[host] = here
        if gateway and router is not None:
            yield (index, "gateway"), f"{router} has the default gateway already"
        elif gateway:
            router = here
        if why := _unreachable(gateway, address):
            yield (index, "gateway"), why


def _unreachable(gateway: str, address: str) -> str | None:
    """Why a gateway cannot be reached from an address; None too if either is not one at all."""
    try:
        router, here = IPv4Address(gateway), IPv4Interface(address if "/" in address else "")
    except ValueError:
        return None
    subnet = here.network
    if router not in subnet:
        return f"{router} is outside the subnet {subnet}"
    if router == here.ip:
        return f"{router} is the board's own address, not its router's"
    if subnet.prefixlen < 31 and router in (subnet.network_address, subnet.broadcast_address):
        return f"{router} is no host of the subnet {subnet}"
    return None


def _text(row: Any, key: str) -> str:
    """What an interface says under ``key``, as text; empty if nothing."""
    value = row.get(key) if isinstance(row, dict) else getattr(row, key.replace("-", "_"), None)
    return "" if value is None else str(value)


class Network(Model):
    hostname: HostName
    """The board's name on its network."""

    loopback: bool = True
    """Bring lo up. With false every connection to 127.0.0.1 fails: it is there to show that."""

    interface: Annotated[tuple[Interface, ...], AtOnce(_together)] = ()
    """The wired interfaces, in the order in which they are brought up."""

    dns: tuple[IPv4Address, ...] = ()
    """Name servers for /etc/resolv.conf."""
