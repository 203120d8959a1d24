"""Rules of bind(2): an address that is not there, a port that is taken or not allowed."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from rootfs_tool.diagnosis.base import Diagnosis, Evidence, addresses, listener, shown
from rootfs_tool.diagnosis.reach import nobody_listens, not_for_us
from rootfs_tool.netstate.listening import listening

# ip's and ifconfig's own words, who bind nothing.
_OF_INTERFACES = re.compile(r"\bRTNETLINK answers|\bSIOC\w+")
# A call's name, not a part of a path or of an option.
_BIND = re.compile(r"(?<![\w./-])(?:bind|listen)(?:ing)?\b(?![/.])", re.IGNORECASE)
_OF_FILES = re.compile(r"/\S+\.sock\b|\bunix\b")
_MOST = 3  # connections that are shown


def not_ours(e: Evidence) -> Iterator[Diagnosis]:
    """EADDRNOTAVAIL: the board does not have the address that a program would bind."""
    said = e.errors(errno.EADDRNOTAVAIL)
    own = [one.ip for one in e.state.addresses]
    lo = e.interface("lo")
    own += [one.ip for one in (lo.addresses if lo else ()) if isinstance(one.ip, IPv4Address)]
    said = tuple(one for one in said if not _OF_INTERFACES.search(one))
    if not said:
        return
    named = addresses("\n".join(said)) or e.addresses()
    spoken = [one for one in named if one not in own and not one.is_unspecified]
    wrong = spoken[0] if len(spoken) == 1 else None
    turned = IPv4Address(wrong.packed[::-1]) if wrong else None
    mend = "bind 0.0.0.0 (INADDR_ANY) in the program, or one of these: " + ", ".join(map(str, own))
    cause = f"the board does not have the address {wrong or 'that the program binds'}"
    if turned in own:
        cause += f": it is {turned} with its bytes the wrong way round"
        mend = f"in the program: htonl(), or inet_pton() of {turned}"
    yield Diagnosis(
        rule="address-not-there",
        cause=f"{cause} (error 99, EADDRNOTAVAIL)",
        mend=mend,
        evidence=(*said, *(shown(one) for one in e.state.interfaces)),
    )


def taken(e: Evidence) -> Iterator[Diagnosis]:
    """EADDRINUSE: by whom, or by connections that outlive a server."""
    said = tuple(one for one in e.errors(errno.EADDRINUSE) if not _OF_FILES.search(one))
    if not said:
        return
    ports = e.ports()
    there = [one for one in listening(e.state) if not ports or one.port in ports]
    pids = [str(program.pid) for one in there for program in one.programs]
    if there:
        who = ", ".join(str(program) for one in there for program in one.programs)
        which = f"port {there[0].port}" if ports else "the port"
        yield Diagnosis(
            rule="port-taken",
            cause=f"{which} is taken (error 98, EADDRINUSE)"
            + (f": by {who}" if which != "the port" and who else ", by one of these"),
            mend=f"on the board: kill {' '.join(dict.fromkeys(pids))}; or use another port"
            if pids and ports
            else "end the program that has it, or use another port",
            evidence=(*said, *map(listener, there)),
        )
    else:
        yield from _lingers(e, said)


def _lingers(e: Evidence, said: tuple[str, ...]) -> Iterator[Diagnosis]:
    """Nobody listens any more, and connections keep the port: the server's, or what it left.

    The kernel lets a second one in only if both have SO_REUSEADDR (inet_csk_bind_conflict), so
    whoever adds it to a program still waits for the connections of the one that had it not.
    """
    kept = [one for one in e.state.sockets if one.port in e.ports() and one.protocol == "tcp"]
    if not kept:
        return
    port = kept[0].port
    holders = {who.pid: who for one in kept for who in e.state.holders.get(one.inode, ())}
    states = ", ".join(dict.fromkeys(one.state for one in kept))
    ended = "connections of port {} have ended within the last minute, and the kernel keeps their "
    held = "connections of port {} are still open, and keep it: those of {} "
    end = f"kill {' '.join(map(str, holders))}; then " if holders else ""
    yield Diagnosis(
        rule="port-lingers",
        cause=(held if holders else ended + "port for them ").format(
            port, ", ".join(map(str, holders.values()))
        )
        + f"({states}; error 98, EADDRINUSE)",
        mend=f"on the board, now: {end}wait for a minute; for good, in the program, before bind(): "
        "setsockopt(…, SOL_SOCKET, SO_REUSEADDR, &yes, …), which helps against connections of "
        "a program that had it too",
        evidence=(
            *said,
            *(
                f"{one.address}:{one.port} to {one.peer}:{one.peer_port}: {one.state}"
                for one in kept[:_MOST]
            ),
        ),
    )


def privileged(e: Evidence) -> Iterator[Diagnosis]:
    """EACCES at a port that only root may open (ip(7), ip_unprivileged_port_start)."""
    said = e.errors(errno.EACCES)
    low = [port for port in e.ports() if port < e.board.first_port]
    if said and low and any(_BIND.search(line) for line in said):
        port = low[0]
        yield Diagnosis(
            rule="privileged-port",
            cause=f"only root may open ports below {e.board.first_port}, and {port} is one "
            "(error 13, EACCES)",
            mend=f"use a port from {e.board.first_port} on, start it as root, or on the board: "
            f"echo {port} >/proc/sys/net/ipv4/ip_unprivileged_port_start",
            evidence=(*said, f"ip_unprivileged_port_start: {e.board.first_port}"),
        )


def listens(e: Evidence) -> Iterator[Diagnosis]:
    """The board was asked who listens at a port: nobody, or somebody who is not open to all."""
    port = e.subject.port
    if port is None or e.subject.from_host:
        return
    if e.lines("nobody listens"):
        yield from nobody_listens(e, port)
    elif e.lines("open to loopback, not to"):
        yield not_for_us([one for one in listening(e.state) if one.port == port], port, None)
