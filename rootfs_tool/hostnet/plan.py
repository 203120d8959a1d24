"""What has to be changed for a board's network, and what speaks against it."""

from __future__ import annotations

import pwd
import secrets
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from rootfs_tool import proc
from rootfs_tool.errors import CommandError, ConfigError, MissingToolError
from rootfs_tool.events import note
from rootfs_tool.hostnet import journal, obstacles
from rootfs_tool.hostnet.changes import Address, Change, Sysctl, Tap, Up, value
from rootfs_tool.hostnet.firewall import Chain, Obstacle
from rootfs_tool.hostnet.journal import Journal
from rootfs_tool.hostnet.leases import Dnsmasq
from rootfs_tool.hostnet.links import Link, Route, default_device, routes
from rootfs_tool.hostnet.nat import engine
from rootfs_tool.hostnet.wanted import AUTO, NONE, Wanted, check, option_of

_UNMANAGED = "10"  # NMDeviceState of NetworkManager's D-Bus API
_PREFIX = 24  # of a network that is proposed, in bits


def uplink(wanted: Wanted, here: Mapping[str, Link]) -> str | None:
    """The interface to the world. Raises ConfigError if that can't be one."""
    if wanted.uplink == NONE:
        return None
    if wanted.uplink == AUTO:
        found = default_device()
        if found in (None, wanted.device):
            note("this host has no default route: boards will reach this host alone")
            return None
        return found
    if wanted.uplink not in here or wanted.uplink in ("lo", wanted.device):
        others = ", ".join(name for name in here if name not in ("lo", wanted.device)) or "no other"
        raise ConfigError(
            f"--uplink {wanted.uplink}: this host has no such way out", hint=f"there is {others}"
        )
    return wanted.uplink


def refuse(wanted: Wanted, here: Mapping[str, Link]) -> None:
    """Raise ConfigError for what must not be done, before anything is."""
    check(wanted)
    _subnet(wanted, here)
    _address(wanted, here)
    link = here.get(wanted.device)
    if wanted.cable:
        _cable(wanted.device, link, here)
    elif link is not None:
        delete = f"; or: ip link delete dev {wanted.device}" if link.kind == "tun" else ""
        raise ConfigError(
            f"there is an interface {wanted.device} already, and hostnet did not make it",
            hint=f"--tap names another{delete}",
        )
    try:
        pwd.getpwuid(wanted.user)
    except KeyError:
        note(f"user {wanted.user} has no name here")


def plan(wanted: Wanted, out: str | None, here: Mapping[str, Link]) -> tuple[Change, ...]:
    """The changes in their order; the way is opened last, when what guards it is there."""
    device, first = wanted.device, wanted.leases()
    changes: list[Change] = []
    if not wanted.cable:
        alias = f"rootfs-tool hostnet {secrets.token_hex(8)}"
        changes.append(Tap(name=device, user=wanted.user, alias=alias))
    changes.append(Address(device=device, address=wanted.address))
    if not wanted.cable or not here[device].up:
        changes.append(Up(device=device))
    if out is not None:
        opened = [_opened(name) for name in (out, device)]
        network = str(wanted.network)
        closed = opened[0] is not None
        changes.append(engine()(device=device, network=network, uplink=out, closed=closed))
        changes += [one for one in opened if one is not None]
    if wanted.dhcp:
        proc.which("dnsmasq")
        changes.append(
            Dnsmasq(
                device=device,
                address=str(wanted.interface.ip),
                netmask=str(wanted.network.netmask),
                first=str(first[0]),
                last=str(first[1]),
                router=out is not None,
                stem=str(journal.stem(device)),
            )
        )
    return tuple(changes)


def see_through(wanted: Wanted, out: str | None) -> None:
    """Raise ConfigError if this host's own firewall would stop what boards need."""
    known = obstacles.chains()
    found = _found(wanted, out, known)
    if found:
        lines = obstacles.mend(found, wanted, out, known)
        raise ConfigError(
            "; ".join(map(str, found)), hint=f"these lines let it through, then again:\n{lines}"
        )
    if stopped := obstacles.reaching(wanted, 69, "port 69 (TFTP)", known):
        note(f"{stopped}; {obstacles.mend([stopped], wanted, out, known)}")


def openings(wanted: Wanted, out: str | None) -> list[str]:
    """The lines that let through what `see_through` would refuse for; they stay after `down`."""
    known = obstacles.chains()
    return obstacles.mend(_found(wanted, out, known), wanted, out, known).splitlines()


def _found(wanted: Wanted, out: str | None, known: list[Chain]) -> list[Obstacle]:
    found = obstacles.forwarding(wanted, out, known) if out is not None else []
    if wanted.dhcp and (stopped := obstacles.reaching(wanted, 67, "DHCP server", known)):
        found.append(stopped)
    return found


def _opened(device: str) -> Sysctl | None:
    """Forwarding of what comes in at ``device``, and there alone (ip-sysctl.rst, conf/interface).

    The switch for all interfaces, ip_forward, would set many others back to what they were not.
    """
    key = f"net/ipv4/conf/{device}/forwarding"
    before = next((one.before for one in _of_others(key, device)), value(key))
    return None if before == "1" else Sysctl(key=key, before=before, after="1")


def _of_others(key: str, device: str) -> Sequence[Sysctl]:
    """The same change, where another of our networks has made it first."""
    return [
        one
        for other in journal.every()
        if other.wanted.device != device and not other.stale and _here(other)
        for one in other.changes
        if isinstance(one, Sysctl) and one.key == key
    ]


def shared(change: Change, device: str) -> bool:
    """Whether another of our networks needs the same change, and will undo it."""
    return isinstance(change, Sysctl) and bool(_of_others(change.key, device))


def _here(other: Journal) -> bool:
    return other.namespace == journal.namespace()


def _subnet(wanted: Wanted, here: Mapping[str, Link]) -> None:
    for route in _others():
        if _within(route.to, wanted.network):
            raise ConfigError(
                f"{route.to} is behind {route.device}, which {wanted.address} would hide",
                hint=_elsewhere(wanted, here),
            )
        if wanted.network.subnet_of(route.to):
            part = f"{wanted.network} is a part of {route.to}"
            if _at_home(route, here):
                raise ConfigError(
                    f"{part}, the network at {route.device}: who has an address of it would be "
                    "hidden",
                    hint=_elsewhere(wanted, here),
                )
            note(f"{part}, to which a route by {route.device} leads: it hides that part")


def _address(wanted: Wanted, here: Mapping[str, Link]) -> None:
    for name, link in here.items():
        if name != wanted.device and any(one.ip == wanted.interface.ip for one in link.addresses):
            raise ConfigError(
                f"{wanted.interface.ip} is an address of {name} already",
                hint=_elsewhere(wanted, here),
            )


def _others() -> list[Route]:
    """The routes that a network of ours may hide."""
    return [route for route in routes() if not route.default]


def _within(inner: IPv4Network, outer: IPv4Network) -> bool:
    return inner.overlaps(outer) and inner.prefixlen >= outer.prefixlen


def _at_home(route: Route, here: Mapping[str, Link]) -> bool:
    """Whether it is the network that its interface has an address of.

    Into a tunnel lead routes without a router too, to networks that are none of this host's.
    """
    link = here.get(route.device)
    return route.direct and link is not None and route.to in [one.network for one in link.addresses]


def _elsewhere(wanted: Wanted, here: Mapping[str, Link]) -> str | None:
    """The same with another address, if one is left; rather one that hides nothing at all."""
    own = [one.network for link in here.values() for one in link.addresses]
    ways = [route.to for route in _others()]
    small = [way for way in ways if way.prefixlen >= _PREFIX]
    address = _free([*own, *ways]) or _free([*own, *small])
    return f"{option_of(wanted)} {wanted.device} --address {address}" if address else None


def _free(taken: Sequence[IPv4Network]) -> str | None:
    for start in ("10.77", "172.30", "192.168"):
        for third in range(1, 255):
            network = IPv4Network(f"{start}.{third}.0/{_PREFIX}")
            if not any(network.overlaps(one) for one in taken):
                return f"{network.network_address + 1}/{_PREFIX}"
    return None


def _cable(device: str, link: Link | None, here: Mapping[str, Link]) -> None:
    others = [name for name in here if name != "lo"]
    if link is None or device == "lo":
        raise ConfigError(
            f"--cable {device}: this host has no such Ethernet port",
            hint=f"there is {', '.join(others) or 'none'}",
        )
    if device in [route.device for route in routes() if route.default]:
        raise ConfigError(
            f"--cable {device}: this host's default route leads there; it is no cable to a board"
        )
    if link.master is not None:
        raise ConfigError(f"--cable {device}: it is a part of {link.master}")
    if link.addresses:
        first = link.addresses[0]
        raise ConfigError(
            f"--cable {device}: it has {', '.join(map(str, link.addresses))} already",
            hint=f"if nothing needs it: ip address delete {first} dev {device}",
        )
    _networkmanager(device)


def _networkmanager(device: str) -> None:
    """It would take our address away with the next change of the carrier."""
    ask = ("--terse", "--fields", "GENERAL.STATE", "device", "show", device)
    try:
        proc.which("nmcli")
        said = proc.run("nmcli", *ask, timeout=10)
    except (MissingToolError, CommandError):  # not installed, or it does not run
        return
    state = said.partition(":")[2].split() or [_UNMANAGED]
    if state[0] != _UNMANAGED:
        raise ConfigError(
            f"--cable {device}: NetworkManager manages it",
            hint=f"nmcli device set {device} managed no",
        )


def differences(old: Wanted, new: Wanted) -> Sequence[str]:
    """What is wanted now and was not then, as options."""
    rows = [
        ("--address", old.address, new.address),
        ("--uplink", old.uplink, new.uplink),
        ("--dhcp", "on" if old.dhcp else "off", "on" if new.dhcp else "off"),
        ("--cable" if new.cable else "--tap", str(old.cable), str(new.cable)),
        ("--user", str(old.user), str(new.user)),
    ]
    return [f"{option} was {was}" for option, was, now in rows if was != now]
