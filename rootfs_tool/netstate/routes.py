"""Routes, neighbours and name servers, as the files of a kernel have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

# linux/route.h and linux/ipv6_route.h
_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200
_ANYCAST, _LOCAL = 0x0010_0000, 0x8000_0000
_NEVER = 0xFFFF_FFFF  # the metric of the entry at the end of the table, which refuses the rest
_NOWHERE = "*"  # what stands for the interface of a route that leads to none, as a blackhole does
# linux/if_arp.h: ATF_COM, the neighbour has answered; ATF_PERM, a person has entered it.
_COMPLETE, _PERMANENT = 0x2, 0x4


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Without a gateway all of the destination is on the interface's own network.

    One that ``rejects`` makes the destination unreachable.
    """

    destination: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address | None
    interface: str
    metric: int
    rejects: bool = False

    @property
    def default(self) -> bool:
        return self.destination.prefixlen == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Who is at an address of an attached network; ``mac`` is None if nobody has answered.

    ``state`` is the kernel's word: complete, incomplete and permanent of IPv4, ip-neighbour(8)'s of
    IPv6.
    """

    address: IPv4Address | IPv6Address
    mac: str | None
    interface: str
    state: str


def parse(route: str, ipv6_route: str = "") -> tuple[Route, ...]:
    """Read /proc/net/route of a little-endian machine and /proc/net/ipv6_route.

    Of IPv6 without what every address has beside its network: the entries of the address itself,
    of anycast and of the groups.
    """
    return (*_ipv4(route), *dict.fromkeys(_ipv6(ipv6_route)))


def _ipv4(text: str) -> Iterator[Route]:
    for line in text.splitlines()[1:]:
        with suppress(ValueError, IndexError):
            fields = line.split()
            flags = int(fields[3], 16)
            to, mask = _word(fields[1]), _word(fields[7])
            if flags & _UP:
                yield Route(
                    destination=IPv4Network(f"{to}/{mask}"),
                    gateway=_word(fields[2]) if flags & _GATEWAY else None,
                    interface=fields[0],
                    metric=int(fields[6]),
                    rejects=bool(flags & _REJECT) or fields[0] == _NOWHERE,
                )


def _word(digits: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(digits)[::-1])


def _ipv6(text: str) -> Iterator[Route]:
    for line in text.splitlines():
        with suppress(ValueError):
            to, length, _, _, via, metric, _, _, flags, interface = line.split()
            said, cost = int(flags, 16), int(metric, 16)
            network = IPv6Network((bytes.fromhex(to), int(length, 16)))
            if said & _UP and cost != _NEVER and not said & (_LOCAL | _ANYCAST):
                if network.is_multicast:
                    continue
                yield Route(
                    destination=network,
                    gateway=IPv6Address(bytes.fromhex(via)) if said & _GATEWAY else None,
                    interface=interface,
                    metric=cost,
                    rejects=bool(said & _REJECT),
                )


def neighbours(arp: str, ndisc: str = "") -> tuple[Neighbour, ...]:
    """Read /proc/net/arp, and what ``ip -6 neigh show`` prints."""
    return (*_arp(arp), *_ndisc(ndisc))


def _arp(text: str) -> Iterator[Neighbour]:
    for line in text.splitlines()[1:]:
        with suppress(ValueError):
            address, _, flags, mac, _, interface = line.split()
            said = int(flags, 16)
            yield Neighbour(
                address=IPv4Address(address),
                mac=mac if said & _COMPLETE else None,
                interface=interface,
                state="permanent"
                if said & _PERMANENT
                else "complete"
                if said & _COMPLETE
                else "incomplete",
            )


def _ndisc(text: str) -> Iterator[Neighbour]:
    """Lines such as "fe80::2 dev eth0 lladdr 52:56:00:00:00:02 router REACHABLE"."""
    for line in text.splitlines():
        with suppress(ValueError):
            words = line.split()
            yield Neighbour(
                address=IPv6Address(words[0] if words else ""),
                mac=words[words.index("lladdr") + 1] if "lladdr" in words[:-1] else None,
                interface=words[words.index("dev", 0, -1) + 1],
                state=words[-1].lower(),
            )


def name_servers(resolv_conf: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The name servers of /etc/resolv.conf (resolv.conf(5))."""
    found = []
    for line in resolv_conf.splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver":
            with suppress(ValueError, IndexError):
                found.append(ip_address(values[0]))
    return tuple(found)


def towards(routes: Sequence[Route], address: IPv4Address) -> Route | None:
    """The route that a packet for ``address`` takes: the longest prefix, then the least metric."""
    fits = [one for one in routes if address in one.destination]
    return min(fits, key=lambda one: (-one.destination.prefixlen, one.metric), default=None)
