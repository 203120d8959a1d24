"""Who waits for connections on a board, and whom it would let in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from rootfs_tool.netstate import services
from rootfs_tool.netstate.programs import Program
from rootfs_tool.netstate.state import State
from rootfs_tool.sockets import Kind, Socket

BROADCAST = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Sockets of one address and port: several where programs share it (SO_REUSEPORT, socket(7)).

    ``open_to`` is in words; ``over_ipv4`` is whether an IPv4 address reaches it. ``waiting`` are
    connections that no program has accepted, of UDP bytes that none has read.
    """

    protocol: Kind
    address: IPv4Address | IPv6Address
    port: int
    service: str | None
    open_to: str
    over_ipv4: bool
    sockets: int
    programs: tuple[Program, ...]
    user: str
    waiting: int

    def covers(self, address: IPv4Address | None) -> bool | None:
        """Whether who connects to ``address`` from outside reaches it.

        Of an address that is not known, None, only an answer that holds for all of them: else None.
        """
        if self.address.is_unspecified or self.address.is_loopback or self.address.version == 6:
            return self.address.is_unspecified and self.over_ipv4
        return None if address is None else self.address == address


def listening(state: State) -> tuple[Listening, ...]:
    """All that listens, by protocol and port."""
    groups: dict[tuple[Kind, int, IPv4Address | IPv6Address], list[Socket]] = {}
    for one in state.sockets:
        if one.listens:
            groups.setdefault((one.protocol, one.port, one.address), []).append(one)
    of_ipv4 = {key[:2] for key in groups if key[2] == IPv4Address(0)}
    ordered = sorted(groups.items(), key=lambda item: (*item[0][:2], str(item[0][2])))
    return tuple(
        _listening(sockets, state, alone=key[:2] in of_ipv4 or state.bindv6only)
        for key, sockets in ordered
    )


def _listening(group: Sequence[Socket], state: State, *, alone: bool) -> Listening:
    """``alone`` is whether [::] has IPv6 only.

    No file says that of a socket (IPV6_V6ONLY, ipv6(7)). But where 0.0.0.0 has the same port too,
    it must be so: otherwise the second of them would have been refused.
    """
    first = group[0]
    holders = {one.pid: one for socket in group for one in state.holders.get(socket.inode, ())}
    users = {state.users.get(one.uid, str(one.uid)): None for one in group}
    dual = first.address == IPv6Address(0) and not alone
    return Listening(
        protocol=first.protocol,
        address=first.address,
        port=first.port,
        service=services.name(first.port, first.protocol),
        open_to=_open_to(first.address, state, dual=dual),
        over_ipv4=first.address.version == 4 or dual,
        sockets=len(group),
        programs=tuple(holders.values()),
        user=", ".join(users),
        waiting=sum(one.received for one in group),
    )


def _open_to(address: IPv4Address | IPv6Address, state: State, *, dual: bool) -> str:
    if address.is_unspecified:
        if address.version == 4:
            return "all addresses"
        return "all addresses, IPv6 too" if dual else "all addresses of IPv6"
    if address.is_loopback:
        return "loopback only"
    if address.is_multicast:
        return f"the group {address}"
    own = [one for interface in state.interfaces for one in interface.addresses]
    if address == BROADCAST or any(address == one.network.broadcast_address for one in own):
        return f"broadcasts to {address}"
    if all(address != one.ip for one in own):
        return f"{address}, which the board has not"
    return f"{address} only"
