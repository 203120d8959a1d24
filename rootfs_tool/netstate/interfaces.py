"""The interfaces of a board: /proc/net/dev, /sys/class/net, and who has which address."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface

_UP = 0x1  # IFF_UP of linux/if.h
_NO_MAC = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What went one way through an interface since it came up."""

    bytes: int
    packets: int
    errors: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """``speed`` is in Mbit/s, ``carrier`` whether there is a cable with somebody at its other end.

    None is what the board does not tell: an interface that is down has no carrier to speak of.
    """

    name: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    mac: str | None = None
    up: bool | None = None
    carrier: bool | None = None
    mtu: int | None = None
    speed: int | None = None
    duplex: str | None = None
    received: Counted
    sent: Counted


def parse(device: str, sysfs: str, addresses: str, if_inet6: str) -> tuple[Interface, ...]:
    """From /proc/net/dev, ``grep`` over /sys/class/net, `ip` or `ifconfig`, /proc/net/if_inet6.

    The first says which there are. IPv4 addresses stand in no file (proc(5)): they are from
    ``ip -4 -o addr show``, or, of a board without it, from ``ifconfig -a``.
    """
    known = _facts(sysfs)
    given: defaultdict[str, list[IPv4Interface | IPv6Interface]] = defaultdict(list)
    found: list[tuple[str, IPv4Interface | IPv6Interface]] = [*_ipv4(addresses), *_ipv6(if_inet6)]
    for name, address in found:
        if address not in given[name]:
            given[name].append(address)
    return tuple(
        _interface(name, counted, known[name], tuple(given[name]))
        for name, counted in _counted(device)
    )


def _interface(
    name: str,
    counted: tuple[Counted, Counted],
    facts: dict[str, str],
    addresses: tuple[IPv4Interface | IPv6Interface, ...],
) -> Interface:
    flags, carrier, speed = (_number(facts.get(key)) for key in ("flags", "carrier", "speed"))
    mac, duplex = facts.get("address"), facts.get("duplex")
    return Interface(
        name=name,
        addresses=addresses,
        mac=mac if mac != _NO_MAC else None,
        up=None if flags is None else bool(flags & _UP),
        carrier=None if carrier is None else bool(carrier),
        mtu=_number(facts.get("mtu")),
        speed=speed if speed is not None and speed > 0 else None,  # -1 is "unknown"
        duplex=duplex if duplex in ("full", "half") else None,
        received=counted[0],
        sent=counted[1],
    )


def _counted(text: str) -> Iterator[tuple[str, tuple[Counted, Counted]]]:
    """Lines of /proc/net/dev: "eth0: ", then 8 numbers of what came and 8 of what went."""
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        numbers = re.findall(r"\d+", rest, re.ASCII)
        if colon and len(numbers) == 16:
            yield name.strip(), (_of(numbers[:4]), _of(numbers[8:12]))


def _of(numbers: list[str]) -> Counted:
    size, packets, errors, dropped = map(int, numbers)
    return Counted(bytes=size, packets=packets, errors=errors, dropped=dropped)


def _facts(text: str) -> defaultdict[str, dict[str, str]]:
    """Lines such as "./eth0/mtu:1500"."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for line in text.splitlines():
        path, _, value = line.partition(":")
        if match := re.fullmatch(r"(?:\./)?([^/]+)/([^/]+)", path):
            found[match[1]][match[2]] = value
    return found


def _number(text: str | None) -> int | None:
    """As the kernel writes one: 1500, -1, 0x1003."""
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None


# "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0:1"; a point-to-point one is
# "inet 10.0.0.1 peer 10.0.0.2/32".
_IP = re.compile(r"\d+: ([^\s@]+)\S* +inet ([\d.]+)(?: peer [\d.]+)?(/\d+)? ")
# BusyBox writes "inet addr:10.0.2.15  Bcast:10.0.2.255  Mask:255.255.255.0", net-tools 2 another.
_IFCONFIG = re.compile(r"inet (?:addr:)?([\d.]+) .*?(?:Mask:|netmask )([\d.]+)")


def _ipv4(text: str) -> Iterator[tuple[str, IPv4Interface]]:
    name = ""
    for line in text.splitlines():
        if line[:1].strip() and (heading := re.match(r"([^\s:]+)", line)):
            name = heading[1]  # eth0:1 is an address of eth0's
        with suppress(ValueError):
            if one := _IP.match(line):
                yield one[1], IPv4Interface(one[2] + (one[3] or "/32"))
            elif one := _IFCONFIG.search(line):
                yield name, IPv4Interface(f"{one[1]}/{one[2]}")


def _ipv6(text: str) -> Iterator[tuple[str, IPv6Interface]]:
    """Lines of /proc/net/if_inet6: address, index, prefix's length, scope, flags, name."""
    for line in text.splitlines():
        with suppress(ValueError):
            address, _, length, _, _, name = line.split()
            yield name, IPv6Interface((IPv6Address(bytes.fromhex(address)), int(length, 16)))
