"""What a person wants on the host's side of a board."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from rootfs_tool.errors import ConfigError

AUTO, NONE = "auto", "none"
# IFNAMSIZ of linux/if.h is 16 with the final NUL; no name here needs a quote anywhere.
_NAME = "[A-Za-z][A-Za-z0-9_.-]{0,14}"
_LEASES = 100  # addresses for boards that ask, at the end of the subnet


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``device`` is a TAP to make, or with ``cable`` an Ethernet port that is there.

    ``address`` is this host's; ``uplink`` the interface to the world, or "auto" or "none";
    ``user`` the user ID that may open the TAP.
    """

    device: str
    cable: bool
    address: str
    uplink: str
    dhcp: bool
    user: int

    @property
    def interface(self) -> IPv4Interface:
        return IPv4Interface(self.address)

    @property
    def network(self) -> IPv4Network:
        return self.interface.network

    def leases(self) -> tuple[IPv4Address, IPv4Address]:
        """The first and the last address that are given to who asks, at the end of the subnet.

        At most half of it, for the rest is for boards with an address of their own.
        """
        subnet, ours = self.network, int(self.interface.ip)
        lowest, last = int(subnet.network_address) + 1, int(subnet.broadcast_address) - 1
        first = max(last - min(_LEASES, subnet.num_addresses // 2) + 1, lowest)
        if first <= ours <= last:  # the longer side of what our own address leaves
            first, last = (first, ours - 1) if ours - first > last - ours else (ours + 1, last)
        return IPv4Address(first), IPv4Address(last)


def check(wanted: Wanted) -> None:
    """Raise ConfigError for a name or an address that there can't be."""
    for option, name in ((option_of(wanted), wanted.device), ("--uplink", wanted.uplink)):
        if re.fullmatch(_NAME, name) is None:
            raise ConfigError(
                f'{option} "{name}" is no name of an interface',
                hint="up to 15 letters, digits, dots, hyphens and underscores, a letter first",
            )
    text, slash, _ = wanted.address.partition("/")
    try:
        IPv4Address(text)
    except ValueError:
        raise ConfigError(
            f'--address "{text}" is no IPv4 address', hint="--address 10.0.0.1/24"
        ) from None
    if not slash:
        raise ConfigError(
            f"--address {text} needs the length of its prefix", hint=f"--address {text}/24"
        )
    try:
        here = wanted.interface
    except ValueError as error:
        raise ConfigError(f"--address {wanted.address}: {error}") from None
    subnet = here.network
    if subnet.prefixlen > 30 or subnet.prefixlen < 8:
        raise ConfigError(
            f"--address {wanted.address}: a prefix of {subnet.prefixlen} is no subnet for boards",
            hint=f"--address {here.ip}/24",
        )
    if here.ip in (subnet.network_address, subnet.broadcast_address):
        raise ConfigError(
            f"--address {wanted.address} is not the address of a host",
            hint=f"--address {subnet.network_address + 1}/{subnet.prefixlen}",
        )
    if here.is_loopback or here.is_multicast or here.is_unspecified or here.is_reserved:
        raise ConfigError(
            f"--address {wanted.address} is not an address of a network",
            hint="--address 10.0.0.1/24",
        )


def option_of(wanted: Wanted) -> str:
    """The option that names the device."""
    return "--cable" if wanted.cable else "--tap"
