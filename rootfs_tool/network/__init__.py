"""The board's network: interfaces, addresses, routes and names, as ifconfig and route want them."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network
from typing import Annotated, Literal

from rootfs_tool.model import AtOnce, Field, Matching, Model
from rootfs_tool.network.interface import Interface, Vlan
from rootfs_tool.network.route import Host, Route, leads, sound
from rootfs_tool.network.together import together

__all__ = ["HostName", "Interface", "Network", "Route", "Vlan"]

# One label of RFC 1123, section 2.1.
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HostName = Annotated[
    str,
    Matching(_LABEL, "a host name: up to 63 letters, digits and hyphens, no hyphen first or last"),
]
Domain = Annotated[str, Matching(rf"{_LABEL}(\.{_LABEL})*", 'a domain, like "lab.example"')]


class Network(Model):
    hostname: HostName
    """The board's name on its network."""

    loopback: bool = True
    """Bring lo up. With false every connection to 127.0.0.1 fails: it is there to show that."""

    net_tool: Literal["ifconfig", "ip", "ifupdown"] = "ifconfig"
    """What sets the interfaces: ifconfig and route, ip, or ifup with /etc/network/interfaces."""

    interface: Annotated[tuple[Interface, ...], AtOnce(together)] = ()
    """The interfaces, in the order in which they are brought up."""

    route: Annotated[tuple[Route, ...], AtOnce(sound, beside="interface")] = ()
    """Routes beside those of the addresses and of the gateway."""

    # MAXNS of resolv.h: resolvers take no notice of a fourth.
    dns: tuple[Host, ...] = Field(default=(), max_length=3)
    """Name servers for /etc/resolv.conf, before those of a lease."""

    search: tuple[Domain, ...] = Field(default=(), max_length=6)
    """Domains that a short name is looked for in, in place of those of a lease."""

    @property
    def reached(self) -> Interface | None:
        """The interface that others reach the board by: the first with an address of its own."""
        wired = (one for one in self.interface if one.type == "ethernet" and one.ipv4)
        return next(wired, None)

    @property
    def address(self) -> IPv4Interface | None:
        """The address that others reach the board by; None if only its DHCP server knows it."""
        return self.reached.ipv4[0] if self.reached else None

    @property
    def leased(self) -> tuple[Interface, ...]:
        """The interfaces that ask for a lease."""
        return tuple(one for one in self.interface if one.dhcp)

    @property
    def modules(self) -> tuple[str, ...]:
        """The kernel modules that its interfaces need, beside their drivers."""
        dummies = any(one.type == "dummy" for one in self.interface)
        vlans = any(one.vlan for one in self.interface)
        return (*(["dummy"] if dummies else []), *(["8021q"] if vlans else []))

    @property
    def everywhere(self) -> IPv4Network:
        """Where a gateway leads to."""
        return IPv4Network("0.0.0.0/0")

    @property
    def has_ipv4_routes(self) -> bool:
        """Whether there are IPv4 routes that no lease brings."""
        routed = (self._device(one) for one in self.route if one.to.version == 4)
        leased = [one.name for one in self.leased]
        own = any(one.subnets or one.gateway for one in self.interface)
        return own or any(device not in leased for device in routed)

    def routes_of(self, interface: Interface) -> tuple[Route, ...]:
        """The static routes that go through an interface."""
        return tuple(one for one in self.route if self._device(one) == interface.name)

    def ways_of(self, interface: Interface) -> str:
        """The IPv4 routes of routes_of() as words: each its destination and its router."""
        found = (one for one in self.routes_of(interface) if one.to.version == 4)
        return " ".join(f"{one.to} {one.via or '0.0.0.0'}" for one in found)

    def _device(self, route: Route) -> str | None:
        return route.interface or leads(str(route.via), self.interface)
