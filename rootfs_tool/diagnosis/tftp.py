"""Rules of TFTP: the file, the folder, the port, the firewall, and blocks that do not pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from rootfs_tool.diagnosis import told
from rootfs_tool.diagnosis.base import Diagnosis, Evidence
from rootfs_tool.diagnosis.host import Serves, below
from rootfs_tool.netstate import outside

_OVERHEAD = 32  # bytes: the headers of IPv4 and UDP, and TFTP's own 4 (RFC 2348)
_USUAL = 69

_TFTP = re.compile(r"(?<![\w/.-])tftp\b(?!/)(?!: can't open)", re.IGNORECASE)
_SILENCE = ("tftp: timeout", "no answer to the tftp request", "tftp: recv: connection refused")
_KILLED = ("terminated", "exited 143", "exited 124", "connection refused")  # by `timeout`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What BusyBox's tftp was told."""

    name: str
    host: str
    port: int
    block_size: int
    sends: bool


def _request(e: Evidence) -> _Request | None:
    for path, words in told.programs(e.subject.command):
        options, rest = told.operands(words, "gpl:r:b:")
        name = options.get("-r") or options.get("-l")
        if path.rpartition("/")[2] != "tftp" or not name or not rest:
            continue
        size = options.get("-b", "")
        return _Request(
            name=name,
            host=rest[0],
            port=int(rest[1]) if len(rest) > 1 and rest[1].isdecimal() else _USUAL,
            block_size=int(size) if size.isdecimal() else 512,
            sends="-p" in options,
        )
    return None


def not_found(e: Evidence) -> Iterator[Diagnosis]:
    """The server is there and has no such file, or has it in another folder."""
    # The number is RFC 1350's; the text is as each server likes.
    said = e.lines("tftp: server error: (1)")
    said += tuple(one for one in e.lines("file not found", "no such file") if _TFTP.search(one))
    said = tuple(dict.fromkeys(said))
    asked = _request(e)
    if not said or asked is None or asked.sends:
        return
    servers = [one for one in e.here.servers if one.port == asked.port and one.root]
    for server in servers:
        assert server.root is not None
        there = below(server.root, asked.name)
        if there and there != asked.name.lstrip("/"):
            yield Diagnosis(
                rule="tftp-wrong-folder",
                cause=f"the TFTP server has {there}, not {asked.name}: a name is looked for below "
                f"{server.root}",
                mend=f"on the board: tftp -g -r {there} {_where(asked)}",
                evidence=(*said, str(server)),
            )
            return
    root = next((f" in {one.root}" for one in servers), "")
    copy = f"copy it there: cp {asked.name} {servers[0].root}/" if servers else ""
    yield Diagnosis(
        rule="tftp-not-found",
        cause=f"the TFTP server answers and has no file {asked.name}{root}",
        mend=copy
        or f"is the name right, also its case? The server at {asked.host} port "
        f"{asked.port} may serve another directory",
        evidence=(*said, *map(str, servers)),
    )


def not_allowed(e: Evidence) -> Iterator[Diagnosis]:
    """The server has the file, and may not read it, or does not take one."""
    said, asked = e.lines("tftp: server error: (2)"), _request(e)
    if not said or asked is None:
        return
    if asked.port == _USUAL and outside.of_user_network(e.state) and asked.host == str(e.host):
        yield Diagnosis(
            rule="tftp-of-qemu",
            cause=f"port {_USUAL} of {asked.host} is QEMU's own on its user network, and serves "
            "nothing: no program of this host is asked",
            mend="on this host: rootfs-tool tftp-serve DIR --port 6969; on the board: tftp -g -r "
            f'{asked.name} {asked.host} 6969; or a TAP: network = "tap0" in [[target]]',
            evidence=said,
        )
        return
    servers = [one for one in e.here.servers if one.port == asked.port and one.root]
    path = next((f"{one.root}/{asked.name.lstrip('/')}" for one in servers), asked.name)
    where = "on this host" if servers else f"on {asked.host}, below what its server serves"
    yield Diagnosis(
        rule="tftp-not-allowed",
        cause=f"the TFTP server does not let {asked.name} through: it may not read the file, or "
        "takes none from boards",
        mend=f"{where}: chmod a+r {path}; to take files: rootfs-tool tftp-serve --allow-write",
        evidence=(*said, *map(str, servers)),
    )


def _where(asked: _Request) -> str:
    return asked.host if asked.port == _USUAL else f"{asked.host} {asked.port}"


def silent(e: Evidence) -> Iterator[Diagnosis]:
    """Nobody answers: another port, a firewall of this host, or blocks too large."""
    asked = _request(e)
    said = e.lines(*_SILENCE, *(_KILLED if asked else ()))
    port = asked.port if asked else e.subject.served
    ours = asked is None or asked.host == str(e.host)
    if not said or port is None:
        return
    here = [one for one in e.here.servers if one.port == port]
    if ours and e.host is not None and not here:
        yield _another(e, port, said, asked)
    elif ours and e.here.stopped and e.here.stopped_for_sure:
        yield _firewall(e, port, said, e.here.stopped)
    elif asked and (found := _too_large(e, asked, said)):
        yield found
    elif ours and e.here.stopped:
        yield _firewall(e, port, said, e.here.stopped)


def _firewall(e: Evidence, port: int, said: tuple[str, ...], stopped: str) -> Diagnosis:
    met = [one for one in e.state.neighbours if one.address == e.host and one.mac]
    verb = "drops" if e.here.stopped_for_sure else "may drop"
    return Diagnosis(
        rule="tftp-firewall",
        cause=f"the firewall of this host {verb} what the board sends to UDP port {port}",
        mend=_let_in(stopped, port),
        evidence=(*said, stopped, *(f"{one.address} is {one.mac}" for one in met)),
    )


def _another(e: Evidence, port: int, said: tuple[str, ...], asked: _Request | None) -> Diagnosis:
    others = [one for one in e.here.servers if one.tftp and one.port != port]
    others = [one for one in others if one.port not in (53, 67)]  # dnsmasq's other trades
    if not others:
        return Diagnosis(
            rule="tftp-no-server",
            cause=f"no program of this host has UDP port {port}",
            mend="on this host: rootfs-tool tftp-serve DIR"
            + ("" if port == _USUAL else f" --port {port}"),
            evidence=said,
        )
    one: Serves = others[0]
    name = asked.name if asked else "FILE"
    return Diagnosis(
        rule="tftp-other-port",
        cause=f"the TFTP server of this host is at port {one.port}, the board asks port {port}",
        mend=f"on the board: tftp -g -r {name} {e.host} {one.port}; in U-Boot: "
        f"setenv tftpdstp {one.port}",
        evidence=(*said, *map(str, others)),
    )


def _let_in(stopped: str, port: int) -> str:
    """The line for the chain that an obstacle names ("chain input of inet filter stops …")."""
    chain = re.match(r"chain (\S+) of (\S+) (\S+) (?:stops|may stop)", stopped)
    if chain and not chain[2].endswith("'s"):
        name, family, table = chain.groups()
        return f"on this host: sudo nft insert rule {family} {table} {name} udp dport {port} accept"
    return f"on this host: sudo iptables -I INPUT -p udp --dport {port} -j ACCEPT"


def _too_large(e: Evidence, asked: _Request, said: tuple[str, ...]) -> Diagnosis | None:
    """Blocks larger than the path takes come in fragments, and somebody drops those."""
    try:
        peer = IPv4Address(asked.host)
    except ValueError:
        return None
    met = {one.interface for one in e.state.neighbours if one.address == peer and one.mac}
    if any(one.address == peer and not one.mac for one in e.state.neighbours):
        return None  # nobody is there to lose any
    sizes = [one.mtu for one in e.state.interfaces if one.mtu and one.name != "lo"]
    sizes = [one.mtu for one in e.state.interfaces if one.mtu and one.name in met] or sizes
    mtu = min(sizes, default=1500)
    if asked.block_size + _OVERHEAD <= mtu:
        return None
    return Diagnosis(
        rule="tftp-block-size",
        cause=f"blocks of {asked.block_size} bytes do not pass whole: with their headers they are "
        f"{asked.block_size + _OVERHEAD}, the board's MTU is {mtu}, and the fragments are lost "
        "on the way",
        mend=f"on the board: tftp -g -b {min(1428, mtu - _OVERHEAD)} -r {asked.name} "
        f"{_where(asked)}",
        evidence=(*said, *(f"{one.name}: MTU {one.mtu}" for one in e.state.interfaces if one.mtu)),
    )
