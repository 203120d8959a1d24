"""Rules of the way to somebody: nobody there, somebody who says nothing, somebody who says no."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from rootfs_tool.diagnosis import told
from rootfs_tool.diagnosis.base import (
    NO_NAME,
    Diagnosis,
    Evidence,
    addresses,
    ipv6,
    listener,
    unanswered,
)
from rootfs_tool.netstate import routes
from rootfs_tool.netstate.listening import Listening, listening

_SILENCE = ("100% packet loss", "tftp: timeout", "timed out", "no answer", "timeout", "did not end")


def from_board(e: Evidence) -> Iterator[Diagnosis]:
    """Whom the board spoke to: is there a way, is he there, what does he say?"""
    peer = e.subject.peer or (e.host if e.lines("did not arrive") else None)
    if peer is None and e.outward and not e.subject.from_host:
        peer = next(iter(e.peers()), None)
    if peer is None and e.lines(*NO_NAME):  # a name server that can't be asked, by the rules before
        peer = next((one for one in e.state.name_servers if isinstance(one, IPv4Address)), None)
    if peer is None or not e.stranger(peer):
        return
    way = routes.towards(e.state.routes, peer)
    if way is not None and way.rejects:
        yield Diagnosis(
            rule="route-refuses",
            cause=f"a route of the board's own makes {way.destination} unreachable, and {peer} is "
            "there",
            mend=f"on the board: ip route del {way.destination}",
            evidence=_table(e),
        )
        return
    if way is None and not e.astray:  # whoever replied has been reached, and by some way
        return
    if way is None:
        yield Diagnosis(
            rule="no-route",
            cause=f"the board has no route to {peer}",
            mend=_add_route(e),
            evidence=(*e.errors(errno.ENETUNREACH), *_table(e)),
        )
        return
    next_hop = way.gateway if isinstance(way.gateway, IPv4Address) else peer
    met = next((one for one in e.state.neighbours if one.address == next_hop), None)
    who = f"the gateway {next_hop}" if next_hop != peer else str(peer)
    if met is not None and met.mac is not None:
        yield from _he_is_there(e, peer, who, f"{next_hop} is {met.mac} on {met.interface} (ARP)")
    elif met is not None or e.errors(errno.EHOSTUNREACH):
        yield _nobody(e, who, next_hop, way.interface)


def _he_is_there(e: Evidence, peer: IPv4Address, who: str, met: str) -> Iterator[Diagnosis]:
    """Either he says no, or he says nothing: then a firewall does."""
    if refused := _refused(e, peer):
        ports = e.ports_of(refused)
        port = ports[0] if len(ports) == 1 else None
        table = "-lun" if _UDP.search("\n".join(refused)) else "-ltn"
        yield Diagnosis(
            rule="refused",
            cause=f"{peer} is there and refuses: nobody listens at "
            f"{f'port {port}' if port else 'that port'} there, or not at this address of it, or a "
            "firewall there says so",
            mend=f"on {peer}: ss {table}{f' sport = {port}' if port else ''} shows who listens, "
            "and at which address; start the server, or have it bind 0.0.0.0",
            evidence=(*refused, met),
        )
    elif rejected := e.errors(errno.EHOSTUNREACH):
        through = str(peer) != who
        yield Diagnosis(
            rule="rejected",
            cause=f"{who} is there, and answers that the board does not get to {peer}: "
            + ("nobody is there, or it has no way there" if through else "a firewall says so")
            + ", by ICMP (of who does not answer ARP the kernel would say the same)",
            mend=f"see at {who} whether it reaches {peer}"
            if through
            else f"let it pass in the firewall of {peer}: sudo nft list ruleset, or sudo "
            "iptables-save, shows its rules",
            evidence=(*rejected, met),
        )
    elif any(word in e.said for word in _SILENCE):
        beyond = f" from {peer}" if str(peer) != who else ""
        yield Diagnosis(
            rule="filtered",
            cause=f"{who} is there but nothing comes back{beyond}: a firewall drops the packets or "
            "their answers",
            mend=f"let it pass in the firewall of {peer}: sudo nft list ruleset, or sudo "
            "iptables-save, shows its rules",
            evidence=(*e.lines(*_SILENCE), met),
        )


# Only connect() of TCP says no at once; to a datagram the next call does.
_UDP = re.compile(r"\b(?:recv|send|write to)|\budp\b", re.IGNORECASE)


def _refused(e: Evidence, peer: IPv4Address) -> tuple[str, ...]:
    """What was said of a refusal, unless it was said of others than ``peer``."""
    said = e.errors(errno.ECONNREFUSED)
    return tuple(one for one in said if peer in addresses(one) or not addresses(one))


def _nobody(e: Evidence, who: str, next_hop: IPv4Address, interface: str) -> Diagnosis:
    arp = f"/proc/net/arp: {next_hop} on {interface} incomplete"
    return Diagnosis(
        rule="nobody-there",
        cause=f"nobody answers ARP for {who} on {interface}: it is off, on another cable, or has "
        "another address (a firewall would still answer ARP)",
        mend=f"see at {next_hop} that it has this address (ip addr) and is on the same cable or "
        f"switch as the board's {interface}",
        evidence=(*e.errors(errno.EHOSTUNREACH), *e.lines("100% packet loss"), arp),
    )


def _add_route(e: Evidence) -> str:
    for one in e.network.interface:
        if one.gateway:
            return f"on the board: route add default gw {one.gateway}"
    return (
        "give the interface a gateway in the profile, or on the board: route add default gw ADDRESS"
    )


def _table(e: Evidence) -> tuple[str, ...]:
    found = [one for one in e.state.routes if one.destination.version == 4]
    return tuple(
        f"route {one.destination}{f' via {one.gateway}' if one.gateway else ''} on {one.interface}"
        for one in found
    ) or ("the table of routes is empty",)


def from_host(e: Evidence) -> Iterator[Diagnosis]:
    """This host spoke to a port of the board's: what stood in the way?"""
    port = e.subject.port
    if not e.subject.from_host or port is None:
        return
    there = [one for one in listening(e.state) if one.port == port and one.protocol == "tcp"]
    board = e.outside.board if e.outside else None
    if there and not any(one.covers(board) for one in there):
        yield not_for_us(there, port, board)
        return
    if not there:
        yield from nobody_listens(e, port)
        return
    yield from _in_between(e, port, there)


def not_for_us(there: list[Listening], port: int, board: IPv4Address | None) -> Diagnosis:
    """Who listens at ``port`` does not do so at the address by which others come."""
    where = " and ".join(sorted({str(one.address) for one in there}))
    loopback = all(one.address.is_loopback for one in there)
    only = "loopback only" if loopback else "another address than the one that was asked"
    return Diagnosis(
        rule="loopback-only" if loopback else "other-address-bound",
        cause=f"the server is bound to {where}, {only}: programs on the board reach port {port}, "
        "nobody else does",
        mend=f"bind 0.0.0.0 (INADDR_ANY){f' or {board}' if board else ''} in the program; or, if "
        "that is meant, go there by ssh -L",
        evidence=tuple(listener(one) for one in there),
    )


def nobody_listens(e: Evidence, port: int) -> Iterator[Diagnosis]:
    """No socket of the board's waits at ``port``, or one does at it with its bytes swapped."""
    tcp = [one for one in listening(e.state) if one.protocol == "tcp"]
    if any(one.port == port for one in tcp):
        return
    turned = int.from_bytes(port.to_bytes(2, "little"), "big")
    swapped = next((one for one in tcp if one.port == turned), None)
    if swapped is not None:
        yield Diagnosis(
            rule="byte-order",
            cause=f"the port's bytes are the wrong way round: {port} is {port:#06x}, and the "
            f"program listens at {turned}, which is {turned:#06x}",
            mend=f"in the program that listens: .sin_port = htons({port}); or, if {turned} is "
            f"meant, htons({turned}) in the one that connects",
            evidence=(listener(swapped),),
        )
        return
    yield Diagnosis(
        rule="nobody-listens",
        cause=f"nobody listens at TCP port {port} of the board",
        mend="start the program (does it run, and what does it say? its log tells), or use the "
        "port that it has",
        evidence=(
            *e.errors(errno.ECONNREFUSED),
            *(tuple(listener(one) for one in tcp) or ("nobody listens at any TCP port",)),
        ),
    )


def to_itself(e: Evidence) -> Iterator[Diagnosis]:
    """A program of the board's was refused by the board itself."""
    own = {IPv4Address("127.0.0.1"), *(one.ip for one in e.state.addresses)}
    refused = tuple(one for one in e.errors(errno.ECONNREFUSED) if not _UDP.search(one))
    if e.subject.from_host or not refused or not _by_itself(e, refused, own):
        return
    asked = next((one for one in e.addresses() if one in own), IPv4Address("127.0.0.1"))
    heard = {one.port for one in listening(e.state) if one.protocol == "tcp"}
    ports = e.ports_of(refused)
    for port in (ports if len(ports) == 1 else [one for one in ports if one not in heard])[:1]:
        there = [one for one in listening(e.state) if (one.port, one.protocol) == (port, "tcp")]
        if there and not any(_hears(one, asked) for one in there):
            where = " and ".join(sorted({str(one.address) for one in there}))
            yield Diagnosis(
                rule="other-address-bound",
                cause=f"the server is bound to {where}, and {asked} was asked: another address, "
                "also where both are the board's",
                mend=f"bind 0.0.0.0 (INADDR_ANY) in the program, or ask {where}",
                evidence=(*refused, *map(listener, there)),
            )
        yield from nobody_listens(e, port)


_TO = re.compile(r"\bconnect(?:ing|ion)? to (?:host )?([A-Za-z][\w.-]*)")
_NOBODY = ("localhost", "port", "remote", "server", "the")


def _by_itself(e: Evidence, refused: tuple[str, ...], own: set[IPv4Address]) -> bool:
    """Whether the board's own address was refused; also where nobody at all was named."""
    named = addresses("\n".join(refused)) or unanswered(e.said, e.subject)
    if named:
        return all(one.is_loopback or one in own for one in named)
    hosts = [*told.hosts(e.subject.command), *_TO.findall(e.said)]
    others = [one for one in hosts if one not in (*_NOBODY, e.network.hostname)]
    return not others and all(one.is_loopback for one in ipv6(e.all_said))


def _hears(one: Listening, asked: IPv4Address) -> bool:
    return one.over_ipv4 and (one.address.is_unspecified or one.address == asked)


def _in_between(e: Evidence, port: int, there: list[Listening]) -> Iterator[Diagnosis]:
    """Somebody listens, and we do not get there."""
    if e.knock is None or e.outside is None or e.outside.board is None:
        return
    board, met = e.outside.board, e.outside.neighbour
    heard = tuple(listener(one) for one in there)
    if e.outside.gateway is None and (met is None or met.mac is None) and e.knock.answer != "open":
        yield Diagnosis(
            rule="board-not-there",
            cause=f"nobody answers ARP for {board} on this host's {e.outside.interface}: the board "
            "is on another cable, or this host's address is in the wrong subnet",
            mend=f"see that {e.outside.interface} is the interface with the board's cable: "
            f"ip neighbour show {board}",
            evidence=(f"this host: {board} on {e.outside.interface} incomplete", *heard),
        )
    elif e.knock.answer in ("filtered", "refused", "unreachable"):
        silent = e.knock.answer == "filtered"
        yield Diagnosis(
            rule="filtered" if silent else "rejected",
            cause=f"{board} is there, and drops what comes for port {port}: a firewall, on the "
            "board or before it (a closed port would refuse)"
            if silent
            else f"{board} is there and a program listens at port {port}, but what comes for it is "
            "rejected: a firewall, on the board or before it",
            mend=f"on the board, if it is there: iptables -I INPUT -p tcp --dport {port} -j ACCEPT",
            evidence=(
                *heard,
                f"this host: {board} is {met.mac if met else 'behind a gateway'}",
                f"connect to {board} port {port}: "
                + ("no answer in 1.5 s" if silent else e.knock.reason or "refused"),
            ),
        )
