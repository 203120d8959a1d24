"""Rules of interfaces: lo, addresses, netmasks, cables, gateways, and who else has the address."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from rootfs_tool.diagnosis.base import Diagnosis, Evidence, shown
from rootfs_tool.netstate.interfaces import Interface as Seen
from rootfs_tool.network import Interface

LOOPBACK = IPv4Address("127.0.0.1")


def lo_down(e: Evidence) -> Iterator[Diagnosis]:
    """Without lo the kernel has no way to any address of the board's own."""
    lo = e.interface("lo")
    addresses = lo.addresses if lo else ()
    if lo is not None and lo.up is not False and any(one.ip == LOOPBACK for one in addresses):
        return
    own = {LOOPBACK, *(one.ip for one in e.state.addresses)}
    unreachable = e.errors(errno.ENETUNREACH)
    to_itself = "localhost" in e.all_said or bool(own & set(e.addresses()))
    if e.subject.interface == "lo" or to_itself or (unreachable and not e.addresses()):
        yield Diagnosis(
            rule="lo-down",
            cause="lo is down, so the board has no way to its own addresses, 127.0.0.1 among them: "
            "connect() gives error 101 (ENETUNREACH), or no answer where another route takes it",
            mend="on the board: ifconfig lo 127.0.0.1 up; for good: [network] loopback = true, "
            "and build again",
            evidence=(*unreachable, shown(lo) if lo else "the board has no lo"),
        )


def addresses(e: Evidence) -> Iterator[Diagnosis]:
    """Each interface of the profile that is not as the profile says, one reason each."""
    if not e.outward:
        return
    for wanted in e.network.interface:
        seen = e.interface(wanted.name)
        if seen is None or e.subject.interface not in (None, wanted.name):
            continue
        found = _elsewhere(e, wanted) or _unlike(wanted, seen)
        if found:
            yield found


def _elsewhere(e: Evidence, wanted: Interface) -> Diagnosis | None:
    for address in wanted.ipv4:
        for other in e.state.interfaces:
            if other.name == wanted.name or not any(
                one.ip == address.ip for one in other.addresses
            ):
                continue
            return Diagnosis(
                rule="wrong-interface",
                cause=f"{address.ip} is the address of {other.name}, not of {wanted.name}: what is "
                f"meant for its network leaves by {other.name}",
                mend=f"on the board: ifconfig {other.name} 0.0.0.0; {_configure(wanted, address)}",
                evidence=(shown(other), *_shown(e, wanted.name)),
            )
    return None


def _shown(e: Evidence, name: str) -> tuple[str, ...]:
    one = e.interface(name)
    return (shown(one),) if one else ()


def _unlike(wanted: Interface, seen: Seen) -> Diagnosis | None:
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
        if same.network != address.network:
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


def _configure(wanted: Interface, address: IPv4Interface) -> str:
    line = f"ifconfig {wanted.name} {address.ip} netmask {address.netmask} up"
    return line + _way_out(wanted)


def _way_out(wanted: Interface) -> str:
    """The kernel forgets the routes of an interface that goes down or has another address."""
    return f"; route add default gw {wanted.gateway}" if wanted.gateway else ""


def no_carrier(e: Evidence) -> Iterator[Diagnosis]:
    """An interface that is up, and nobody is at the other end of its cable."""
    for one in e.state.interfaces if e.outward else ():
        profiled = any(wanted.name == one.name for wanted in e.network.interface)
        if one.carrier is False and profiled and e.subject.interface in (None, one.name):
            yield Diagnosis(
                rule="no-carrier",
                cause=f"{one.name} has no carrier: no cable, or what is at its other end is off",
                mend="plug the cable in at both ends, try another one or another port of the "
                "switch; its lamps must be lit",
                evidence=(shown(one), f"/sys/class/net/{one.name}/carrier: 0"),
            )


def gateway(e: Evidence) -> Iterator[Diagnosis]:
    """A router that is on no cable of the board's: there is no way by it."""
    if not e.outward:
        return
    own = [one.network for one in e.state.addresses]
    cables = [
        one.destination
        for one in e.state.routes
        if one.gateway is None and isinstance(one.destination, IPv4Network) and not one.default
    ]
    routers = [one.gateway for one in e.state.routes if one.default and one.gateway]
    wanted = [one.gateway for one in e.network.interface if one.gateway]
    refused = e.lines("SIOCADDRT: Network is unreachable", "Nexthop has invalid gateway")
    spoken = e.addresses() if refused else []
    for router in dict.fromkeys([*routers, *wanted, *spoken]):
        if not isinstance(router, IPv4Address) or any(router in subnet for subnet in own + cables):
            continue
        if router.is_unspecified or not own or (int(router) >> 24 in (0, 127, 255)):
            continue
        right = next((one.gateway for one in e.network.interface if one.gateway), None)
        yield Diagnosis(
            rule="gateway-outside",
            cause=f"the gateway {router} is in no subnet of the board's, {_list(own)}: nobody "
            "answers for it on the cable",
            mend=f"on the board: route add default gw {right}"
            if right and right != router and any(right in subnet for subnet in own)
            else f"give a gateway in {_list(own)}, or correct the address or its netmask",
            evidence=(*refused, *(shown(one) for one in e.state.interfaces if one.name != "lo")),
        )
        return


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
