"""Rules of interfaces: lo, addresses, netmasks, cables, gateways, and who else has the address."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address

from rootfs_tool.diagnosis.base import NO_NAME, Diagnosis, Evidence, shown
from rootfs_tool.diagnosis.base import addresses as addresses_of
from rootfs_tool.netstate import routes
from rootfs_tool.netstate.interfaces import Interface as Seen
from rootfs_tool.network import Interface

LOOPBACK = IPv4Address("127.0.0.1")


def lo_down(e: Evidence) -> Iterator[Diagnosis]:
    """Without lo the kernel has no way to any address of the board's own."""
    lo = e.interface("lo")
    addresses = lo.addresses if lo else ()
    if lo is not None and lo.up is not False and any(one.ip == LOOPBACK for one in addresses):
        return
    down = lo is None or lo.up is False
    own = {LOOPBACK, *(one.ip for one in e.state.addresses if down)}
    unreachable = e.errors(errno.ENETUNREACH)
    to_itself = "localhost" in e.all_said or bool(own & set(e.addresses()))
    to_itself = to_itself and (e.of_network or bool(e.lines("did not end")))
    if e.subject.interface == "lo" or to_itself or (unreachable and not e.addresses()):
        yield Diagnosis(
            rule="lo-down",
            cause=(
                "lo is down, so the board has no way to its own addresses, 127.0.0.1 among them: "
                if down
                else "lo has not the address 127.0.0.1, so the board has no way there: "
            )
            + "connect() gives error 101 (ENETUNREACH), or no answer where another route takes it",
            mend="on the board: ifconfig lo 127.0.0.1 up; for good: [network] loopback = true, "
            "and build again",
            evidence=(*unreachable, shown(lo) if lo else "the board has no lo"),
        )


def addresses(e: Evidence) -> Iterator[Diagnosis]:
    """Each interface of the profile that is not as the profile says, one reason each."""
    if not e.astray or e.of_ipv6:
        return
    for wanted in e.network.interface:
        seen = e.interface(wanted.name)
        if seen is None or not concerned(e, wanted.name):
            continue
        found = _elsewhere(e, wanted) or _unlike(e, wanted, seen)
        if found:
            yield found


def concerned(e: Evidence, name: str) -> bool:
    """Whether what failed goes by an interface, as the profile or the kernel sees it.

    A cable that is not plugged in says nothing of who is at another.
    """
    if e.subject.interface is not None:
        return e.subject.interface == name
    profiled = {one.name: one.ipv4 for one in e.network.interface}
    if e.errors(errno.EADDRNOTAVAIL):  # bind() needs the address there, and nothing else
        return any(own.ip in e.addresses() for own in profiled.get(name, ()))
    peers = e.peers() or _name_servers(e)
    if not peers:
        return True
    return any(name in _interfaces(e, one) for one in peers)


def _interfaces(e: Evidence, peer: IPv4Address) -> set[str]:
    """By which a packet for ``peer`` leaves, by the kernel's table and by the profile's cables.

    Where neither has any, those that would bring a default route.
    """
    way = routes.towards(e.state.routes, peer)
    found = {way.interface} if way else set()
    for one in e.network.interface:
        if any(peer in own.network for own in one.ipv4):
            found.add(one.name)
    out = [one for one in e.network.interface if one.gateway or one.dhcp]
    return (
        found
        or {one.name for one in out if one.gateway or one.default_route}
        or {one.name for one in out}
    )


def _name_servers(e: Evidence) -> list[IPv4Address]:
    """Whom the board asked, if it was for a name."""
    asked = e.state.name_servers if e.lines(*NO_NAME) else ()
    return [one for one in asked if isinstance(one, IPv4Address)]


def _elsewhere(e: Evidence, wanted: Interface) -> Diagnosis | None:
    for address in wanted.ipv4:
        for other in e.state.interfaces:
            there = next((one for one in other.addresses if one.ip == address.ip), None)
            if other.name == wanted.name or there is None:
                continue
            return Diagnosis(
                rule="wrong-interface",
                cause=f"{address.ip} is the address of {other.name}, not of {wanted.name}: what is "
                f"meant for its network leaves by {other.name}",
                mend=f"on the board: ip addr del {there} dev {other.name}; "
                f"{_configure(wanted, address)}",
                evidence=(shown(other), *_shown(e, wanted.name)),
            )
    return None


def _shown(e: Evidence, name: str) -> tuple[str, ...]:
    one = e.interface(name)
    return (shown(one),) if one else ()


def _unlike(e: Evidence, wanted: Interface, seen: Seen) -> Diagnosis | None:
    there = [one for one in seen.addresses if isinstance(one, IPv4Interface)]
    name, evidence = wanted.name, (shown(seen),)
    for address in wanted.ipv4[:1]:
        configure = f"on the board: {_configure(wanted, address)}"
        same = next((one for one in there if one.ip == address.ip), None)
        if not there:
            cause = f"{name} has no address: nobody reaches the board by it, nor it anybody"
            return Diagnosis(rule="no-address", cause=cause, mend=configure, evidence=evidence)
        if seen.up is False:
            cause = f"{name} has its address but is down"
            mend = f"on the board: ifconfig {name} up{_way_out(wanted)}"
            return Diagnosis(rule="down", cause=cause, mend=mend, evidence=evidence)
        if same is None:
            cause = f"{name} has {there[0]}, and the profile gives it {address}"
            return Diagnosis(rule="other-address", cause=cause, mend=configure, evidence=evidence)
        if same.network != address.network and _misled(e, wanted, same.network, address.network):
            cause = (
                f"{name} has the wrong netmask: {same.netmask}, so it takes {same.network} for its "
                f"own cable; the profile's is {address.netmask}, which is {address.network}"
            )
            return Diagnosis(rule="wrong-netmask", cause=cause, mend=configure, evidence=evidence)
    if wanted.dhcp and all(one.ip.is_link_local or one == wanted.fallback for one in there):
        without = f"only {there[0]}, which it takes without a lease" if there else "no address"
        return Diagnosis(
            rule="no-lease",
            cause=f"{name} has {without}: no DHCP server has given it one",
            mend=f"on the board: udhcpc -i {name}; is there a server on its cable? On this host, "
            "for a TAP or a cable: rootfs-tool hostnet up --dhcp",
            evidence=evidence,
        )
    return None


def _misled(e: Evidence, wanted: Interface, there: IPv4Network, right: IPv4Network) -> bool:
    """Whether a netmask takes somebody for near who is not, or the reverse: it sends him astray."""
    asked = bool(e.subject.command or e.subject.peer)
    peers = e.peers() or _name_servers(e) if asked else []
    hops = [one if one in there or one in right else wanted.gateway for one in peers]
    return not hops or any((hop in there) != (hop in right) for hop in hops if hop)


def _configure(wanted: Interface, address: IPv4Interface) -> str:
    line = f"ifconfig {wanted.name} {address.ip} netmask {address.netmask} up"
    return line + _way_out(wanted)


def _way_out(wanted: Interface) -> str:
    """The kernel forgets the routes of an interface that goes down or has another address."""
    return f"; route add default gw {wanted.gateway}" if wanted.gateway else ""


def no_carrier(e: Evidence) -> Iterator[Diagnosis]:
    """An interface that is up, and nobody is at the other end of its cable."""
    for one in e.state.interfaces if e.astray else ():
        profiled = any(wanted.name == one.name for wanted in e.network.interface)
        if one.carrier is False and profiled and concerned(e, one.name):
            yield Diagnosis(
                rule="no-carrier",
                cause=f"{one.name} has no carrier: no cable, or what is at its other end is off",
                mend="plug the cable in at both ends, try another one or another port of the "
                "switch; its lamps must be lit",
                evidence=(shown(one), f"/sys/class/net/{one.name}/carrier: 0"),
            )


def gateway(e: Evidence) -> Iterator[Diagnosis]:
    """A router that is on no cable of the board's: there is no way by it."""
    if not e.astray or e.of_ipv6 or e.errors(errno.EADDRNOTAVAIL):
        return
    own = [one.network for one in e.state.addresses]
    cables = [
        one.destination
        for one in e.state.routes
        if one.gateway is None and isinstance(one.destination, IPv4Network) and not one.default
    ]
    routers = [one.gateway for one in e.state.routes if one.default and one.gateway]
    wanted = [one.gateway for one in e.network.interface if one.gateway]
    refused = e.lines(*_NO_SUCH_WAY)
    told = [one for text in _ROUTER.findall(e.subject.command) for one in addresses_of(text)]
    used = [one for one in dict.fromkeys([*routers, *wanted]) if _leads(e, one)]
    for router in told if refused else used:
        if not isinstance(router, IPv4Address) or any(router in subnet for subnet in own + cables):
            continue
        if router.is_unspecified or not own or (int(router) >> 24 in (0, 127, 255)):
            continue
        right = next((one.gateway for one in e.network.interface if one.gateway), None)
        yield Diagnosis(
            rule="gateway-outside",
            cause=f"the gateway {router} is in no subnet of the board's, {_list(own)}: nobody "
            "answers for it on the cable",
            mend=f"on the board: {_away(router, routers)}route add default gw {right}"
            if right
            and right != router
            and any(right in subnet for subnet in own)
            and right not in routers
            and not (refused and "default" not in e.subject.command)
            else f"give a gateway in {_list(own)}, or correct the address or its netmask",
            evidence=(*refused, *(shown(one) for one in e.state.interfaces if one.name != "lo")),
        )
        return


# What a kernel says to a route by somebody who is nowhere, in the words of route and of ip.
_NO_SUCH_WAY = (
    *("SIOCADDRT: Network is unreachable", "RTNETLINK answers: Network is unreachable"),
    "Nexthop has invalid gateway",
)
_ROUTER = re.compile(r"\b(?:gw|via)\s+(\S+)")


def _leads(e: Evidence, router: IPv4Address | IPv6Address) -> bool:
    """Whether what failed went by that router, or would have had to."""
    peers = e.peers() or _name_servers(e)
    ways = [routes.towards(e.state.routes, one) for one in peers]
    return not peers or any(way is None or way.gateway == router for way in ways)


def _away(router: IPv4Address, routers: list[IPv4Address | IPv6Address]) -> str:
    return f"route del default gw {router}; " if router in routers else ""


def _list(some: list[IPv4Network]) -> str:
    return ", ".join(map(str, some))


def duplicate(e: Evidence) -> Iterator[Diagnosis]:
    """Two who answer for one address: whoever answered last gets the packets (RFC 5227)."""
    own = {one.mac for one in e.state.interfaces}
    others = {one.mac: one.address for one in e.board.claims if one.mac not in own}
    if e.outside is not None and e.outside.board is not None:
        others |= dict.fromkeys(e.outside.strangers(e.state.interfaces), e.outside.board)
    for mac, address in others.items() if e.outward else ():
        yield Diagnosis(
            rule="duplicate-address",
            cause=f"{address} is taken twice: {mac} answers for it too, so packets go now to the "
            "one, now to the other",
            mend=f"give one of the two another address; the other's card is {mac}",
            evidence=(
                f"arping {address}: reply from {mac}",
                *(shown(one) + f", {one.mac}" for one in e.state.interfaces if _has(one, address)),
            ),
        )


def _has(one: Seen, address: IPv4Address) -> bool:
    return any(mine.ip == address for mine in one.addresses)
