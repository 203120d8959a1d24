"""A board's network as a person reads it: what is there, who listens, what is seen from here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rootfs_tool.netstate import View
from rootfs_tool.netstate.interfaces import Counted, Interface
from rootfs_tool.netstate.listening import Listening
from rootfs_tool.netstate.outside import Outside
from rootfs_tool.netstate.view import Connection, Seen
from rootfs_tool.printable import printable
from rootfs_tool.report.listing import columns

_MOST = 50  # connections that are shown; a server may have thousands

Row = tuple[str, ...]


def to_json(view: View) -> str:
    """All of it: addresses as text, times in seconds, inodes as the kernel numbers them."""
    table = {
        **asdict(view),
        "seen": [{**asdict(one), "as_expected": one.as_expected} for one in view.seen],
        "as_demanded": view.as_demanded,
    }
    return json.dumps(table, indent=2, default=str) + "\n"


def lines(view: View) -> Iterator[str]:
    """All of it as one table, its parts apart by empty lines."""
    parts = (_interfaces, _routes, _neighbours, _names, _outside, _listening, _connections, _wrong)
    shown = [some for part in parts if (some := list(part(view)))]
    for number, some in enumerate(shown):
        yield from [""] * bool(number)
        yield from (printable(line) for line in some)


def _interfaces(view: View) -> Iterator[str]:
    heading = (
        "interface",
        "",
        "address",
        "MAC",
        "MTU",
        "speed",
        "packets in",
        "out",
        "errors, dropped",
    )
    yield from columns([heading, *map(_interface, view.board.interfaces)], right=(4, 6, 7))


def _interface(one: Interface) -> Row:
    speed = f"{one.speed} Mbit/s {one.duplex or ''}".rstrip() if one.speed else "-"
    return (
        one.name,
        _state(one),
        ", ".join(map(str, one.addresses)) or "no address",
        one.mac or "-",
        str(one.mtu or "-"),
        speed,
        f"{one.received.packets:,}",
        f"{one.sent.packets:,}",
        _lost(one.received, "in") + _lost(one.sent, "out") or "none",
    )


def _state(one: Interface) -> str:
    if not one.up:
        return "-" if one.up is None else "down"
    return "up, no carrier" if one.carrier is False else "up"


def _lost(counted: Counted, way: str) -> str:
    if not counted.errors and not counted.dropped:
        return ""
    return f"{way} {counted.errors:,}, {counted.dropped:,}; "


def _routes(view: View) -> Iterator[str]:
    if not view.board.routes:
        yield "no routes"
        return
    rows = [
        (
            "default" if one.default else str(one.destination),
            "unreachable" if one.rejects else str(one.gateway or "-"),
            one.interface,
            str(one.metric),
        )
        for one in sorted(view.board.routes, key=lambda one: not one.default)
    ]
    yield from columns([("route", "gateway", "interface", "metric"), *rows])


def _neighbours(view: View) -> Iterator[str]:
    rows = [
        (str(one.address), one.mac or "nobody answers", one.interface, one.state)
        for one in view.board.neighbours
    ]
    if rows:
        yield from columns([("neighbour", "MAC", "interface", "state"), *rows])


def _names(view: View) -> Iterator[str]:
    yield f"name servers: {', '.join(map(str, view.board.name_servers)) or 'none'}"


def _outside(view: View) -> Iterator[str]:
    there = view.outside
    if there.board is None:
        yield f"from this host: {there.why}"
        return
    way = f"from this host: {there.source or '?'}"
    way += f" on {there.interface}" if there.interface else ""
    way += f" by {there.gateway}" if there.gateway else ""
    said = [f"{way} to {there.board}", *_answers(there), there.why]
    yield "; ".join(filter(None, said))
    if strangers := there.strangers(view.board.interfaces):
        yield f"{there.board} is not the board's alone: {', '.join(strangers)} answers for it too"


def _answers(there: Outside) -> Iterator[str]:
    if there.claimed_by is not None:
        yield f"ARP: {', '.join(there.claimed_by) or 'no answer'}"
    elif there.neighbour is not None:
        yield f"ARP: {there.neighbour.mac or 'no answer'}"
    if there.ping is not None:
        yield f"ping: {there.ping * 1000:.1f} ms"
    elif not there.why:
        yield "ping: no answer"


def _listening(view: View) -> Iterator[str]:
    seen = {one.port: one for one in view.seen}
    heading = ("listens", "open to", "from here", "program", "user", "waiting")
    rows = [_listener(one, seen.get(one.port), view) for one in view.listening]
    known = {one.port for one in view.listening if one.protocol == "tcp"}
    rows += [
        (f"tcp {one.port}", "nobody listens", _answer(one), "-", "-", "-")
        for one in view.seen
        if one.port not in known
    ]
    if not rows:
        yield "nobody listens"
        return
    yield from columns([heading, *rows])


def _listener(one: Listening, seen: Seen | None, view: View) -> Row:
    service = f" ({one.service})" if one.service else ""
    # A raw socket has no port: in its place stands the protocol that it is for.
    port = "" if one.protocol == "raw" and one.service else f" {one.port}"
    several = f", {one.sockets} sockets" if one.sockets > 1 else ""
    return (
        f"{one.protocol}{port}{service}",
        one.open_to + several,
        _answer(seen) if seen and one.protocol == "tcp" else "-",
        ", ".join(map(str, one.programs)) or _unnamed(view),
        one.user,
        str(one.waiting or "-"),
    )


def _unnamed(view: View) -> str:
    """Whose a socket is that no program was found to have."""
    if not view.board.root:
        return "another user's"
    return "the kernel's" if view.board.holders else "unknown"


def _answer(seen: Seen) -> str:
    where, reason = seen.knock.door.where, seen.knock.reason
    if seen.knock.answer == "no way":
        return "no way"
    if seen.knock.answer == "filtered":
        reason = reason or "no answer"
    said = f"{seen.knock.answer}: {reason}" if reason else str(seen.knock.answer)
    if seen.knock.door.forwarded and where is not None:
        said += f" ({where[0]}:{where[1]})"
    return said if seen.as_expected else f"{said} (!)"


def _connections(view: View) -> Iterator[str]:
    rows = [_connection(one) for one in view.connections[:_MOST]]
    if rows:
        heading = ("connection", "board's end", "other end", "state", "program")
        yield from columns([heading, *rows])
    if len(view.connections) > _MOST:
        yield f"and {len(view.connections) - _MOST:,} more"


def _connection(one: Connection) -> Row:
    socket = one.socket
    return (
        socket.protocol,
        _end(str(socket.address), socket.port),
        _end(str(socket.peer), socket.peer_port),
        socket.state,
        ", ".join(map(str, one.programs)) or "-",
    )


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _wrong(view: View) -> Iterator[str]:
    """What is not as one expects, in words."""
    for one in view.seen:
        if not one.as_expected:
            answer = one.knock.answer
            said = "can't be reached" if answer == "no way" else f"is {answer}"
            yield f"(!) tcp {one.port} {said} from this host, {_because(one, view)}"


def _because(one: Seen, view: View) -> str:
    if one.demanded:
        return f"and must be {one.expected}"
    there: Sequence[Listening] = [
        other for other in view.listening if other.protocol == "tcp" and other.port == one.port
    ]
    listed = ", ".join(other.open_to for other in there)
    return f"though on the board it is open to {listed}"
