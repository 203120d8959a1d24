"""Rules of bind(2): an address that is not there, a port that is taken or not allowed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ipaddress import IPv4Address

from rootfs_tool.diagnosis.base import Diagnosis, Evidence, listener, shown
from rootfs_tool.diagnosis.reach import nobody_listens, not_for_us
from rootfs_tool.netstate.listening import listening


def not_ours(e: Evidence) -> Iterator[Diagnosis]:
    """EADDRNOTAVAIL: the board does not have the address that a program would bind."""
    said = e.errors(errno.EADDRNOTAVAIL)
    own = [one.ip for one in e.state.addresses]
    lo = e.interface("lo")
    own += [one.ip for one in (lo.addresses if lo else ()) if isinstance(one.ip, IPv4Address)]
    spoken = [one for one in e.addresses() if one not in own and not one.is_unspecified]
    if not said:
        return
    wrong = spoken[0] if spoken else None
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
    """EADDRINUSE: by whom, or by a connection that has ended just now."""
    said = e.errors(errno.EADDRINUSE)
    if not said:
        return
    ports = e.ports()
    there = [one for one in listening(e.state) if not ports or one.port in ports]
    pids = [str(program.pid) for one in there for program in one.programs]
    waiting = [one for one in e.state.sockets if one.port in ports and one.state == "TIME_WAIT"]
    if there:
        who = ", ".join(str(program) for one in there for program in one.programs)
        which = f"port {there[0].port}" if ports or len(there) == 1 else "the port"
        yield Diagnosis(
            rule="port-taken",
            cause=f"{which} is taken (error 98, EADDRINUSE)"
            + (f": by {who}" if which != "the port" and who else ", by one of these"),
            mend=f"on the board: kill {' '.join(dict.fromkeys(pids))}; or use another port"
            if pids and (ports or len(there) == 1)
            else "end the program that has it, or use another port",
            evidence=(*said, *map(listener, there)),
        )
    elif waiting:
        yield Diagnosis(
            rule="port-lingers",
            cause=f"connections of port {waiting[0].port} have ended within the last minute, and "
            "the kernel keeps their port for them (TIME_WAIT; error 98, EADDRINUSE)",
            mend="in the program, before bind(): setsockopt(…, SOL_SOCKET, SO_REUSEADDR, &yes, …); "
            "or wait for a minute",
            evidence=(*said, f"{len(waiting)} sockets of port {waiting[0].port} in TIME_WAIT"),
        )


def privileged(e: Evidence) -> Iterator[Diagnosis]:
    """EACCES at a port that only root may open (ip(7), ip_unprivileged_port_start)."""
    said = e.errors(errno.EACCES)
    low = [port for port in e.ports() if port < e.board.first_port]
    if said and low and any("bind" in line or "listen" in line for line in said):
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
