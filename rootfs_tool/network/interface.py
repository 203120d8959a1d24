"""One interface of the board: what it is called, its addresses, and where they come from."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from typing import Annotated, Literal

from rootfs_tool.model import Field, Matching, Model, OneOrMore, Parsed, field_validator

# IFNAMSIZ of linux/if.h is 16 with the final NUL. Linux takes nearly every character; a colon is
# an alias to ifconfig, and a leading digit or hyphen reads as an address or an option.
LONGEST_NAME = 15
InterfaceName = Annotated[
    str,
    Matching(
        "[A-Za-z][A-Za-z0-9_.-]{0,14}",
        "an interface's name: a letter, then up to 14 letters, digits, dots, hyphens, underscores",
    ),
]

Mac = Annotated[
    str,
    Matching(
        "[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", 'six pairs of hex digits, like "02:00:00:00:00:05"'
    ),
]

LINK_LOCAL = "link-local"


def _address(text: str) -> IPv4Interface | IPv6Interface:
    """The address of a host with the length of its subnet's prefix. Raises ValueError."""
    kind, example = (IPv6Interface, 64) if ":" in text else (IPv4Interface, 24)
    _, slash, length = text.partition("/")
    if not slash:
        raise ValueError(f'needs the length of its prefix, like "{text}/{example}"')
    try:
        parsed = kind(text)
    except ValueError as error:
        family = "IPv6" if kind is IPv6Interface else "IPv4"
        raise ValueError(f'"{text}" is no {family} address with a prefix: {error}') from None
    if "%" in text:
        raise ValueError(f'must be an address without a zone, like "{text.partition("%")[0]}/64"')
    if not re.fullmatch("[0-9]{1,3}", length):
        raise ValueError(f'"{length}" is a netmask; did you mean "{parsed.with_prefixlen}"?')
    _of_a_host(parsed)
    return parsed


def _of_a_host(address: IPv4Interface | IPv6Interface) -> None:
    subnet = address.network
    if subnet.prefixlen == 0:
        raise ValueError(
            f"a prefix of 0 makes no subnet; /{subnet.max_prefixlen * 3 // 4} is common"
        )
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address.ip} is not the address of one host on a network")
    if isinstance(address, IPv4Interface) and subnet.prefixlen < 31:  # RFC 3021: two share a /31
        hosts = f"hosts are {subnet.network_address + 1} to {subnet.broadcast_address - 1}"
        if address.ip == subnet.network_address:
            raise ValueError(f"{address.ip} is the address of the subnet itself; {hosts}")
        if address.ip == subnet.broadcast_address:
            raise ValueError(f"{address.ip} is the subnet's broadcast address; {hosts}")


def _fallback(text: str) -> IPv4Interface | str:
    if text == LINK_LOCAL:
        return text
    if isinstance(found := _address(text), IPv4Interface):
        return found
    raise ValueError(f'must be an IPv4 address with a prefix, or "{LINK_LOCAL}", not "{text}"')


Address = Annotated[IPv4Interface | IPv6Interface, Parsed(_address, "^[0-9A-Fa-f.:]+/[0-9]+$")]


class Vlan(Model):
    parent: InterfaceName
    """The interface that its frames go through, one of those before it."""

    id: int = Field(ge=1, le=4094)
    """Its number, which the switch knows it by (IEEE 802.1Q)."""


class Interface(Model):
    name: InterfaceName
    """What the board calls it, such as eth0."""

    kernel_name: InterfaceName | None = None
    """What the kernel calls it at first, if that is something else: it is renamed."""

    type: Literal["ethernet", "dummy"] = "ethernet"
    """A dummy is no card: it is there to have addresses, of a /32 too, and loses what is sent."""

    vlan: Vlan | None = None
    """It is a VLAN of another interface: { parent = "eth0", id = 5 }."""

    address: Annotated[tuple[Address, ...], OneOrMore()] = ()
    """Its address and the length of its subnet's prefix, "10.0.2.15/24"; or an array of them."""

    gateway: IPv4Address | None = None
    """The router of its subnet, through which everything else is reached."""

    dhcp: bool = False
    """Get address, routes and name servers from a DHCP server."""

    dhcp_wait: int = Field(default=10, ge=1, le=120)
    """Seconds for which the start waits for a lease; it is asked for after that too."""

    fallback: (
        Annotated[IPv4Interface | str, Parsed(_fallback, f"^([0-9.]+/[0-9]+|{LINK_LOCAL})$")] | None
    ) = None
    """What it has when no lease came in time: an address, or "link-local" for one of 169.254/16."""

    default_route: bool = True
    """Whether the lease's default route is wanted."""

    accept_ra: bool | None = None
    """Whether it believes IPv6 routers' advertisements; unless said, what the kernel thinks."""

    mac: Mac | None = None
    """The address that it has on the wire, in place of its own."""

    mtu: int | None = Field(default=None, ge=68, le=65535)
    """Bytes of the largest packet, without the Ethernet header."""

    wait: int = Field(default=10, ge=0, le=600)
    """Seconds to wait for it to appear while the board starts; USB takes a few."""

    @field_validator("mac")
    @classmethod
    def _of_one_card(cls, mac: str | None) -> str | None:
        if mac is None:
            return None
        first = int(mac[:2], 16)
        if first & 1:  # IEEE 802, the I/G bit
            raise ValueError(f"{mac} is a group's; one card's of your own begins with 02")
        if mac.strip("0:") == "":
            raise ValueError(f"{mac} is nobody's; one card's of your own begins with 02")
        return mac.lower()

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        return tuple(one for one in self.address if isinstance(one, IPv4Interface))

    @property
    def ipv6(self) -> tuple[IPv6Interface, ...]:
        return tuple(one for one in self.address if isinstance(one, IPv6Interface))

    @property
    def fallback_words(self) -> str:
        """The fallback as an address, the length of its prefix, netmask and broadcast address."""
        if not isinstance(self.fallback, IPv4Interface):
            return self.fallback or ""
        subnet = self.fallback.network
        broadcast = subnet.broadcast_address if subnet.prefixlen < 31 else "0.0.0.0"
        return f"{self.fallback.ip} {subnet.prefixlen} {subnet.netmask} {broadcast}"

    @property
    def subnets(self) -> tuple[IPv4Network, ...]:
        """The subnets that its IPv4 addresses give it a route to; those of one host have none."""
        return tuple(dict.fromkeys(one.network for one in self.ipv4 if one.network.prefixlen < 32))

    @property
    def labelled(self) -> tuple[tuple[str, IPv4Interface], ...]:
        """Its IPv4 addresses, each with the name that ifconfig knows it by: eth0, eth0:1."""
        return tuple((label(self.name, at), one) for at, one in enumerate(self.ipv4))


def label(name: str, number: int) -> str:
    """What ifconfig calls an interface's address: the first is 0, the others are its aliases."""
    return f"{name}:{number}" if number else name
