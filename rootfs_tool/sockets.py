"""Sockets as /proc/net shows them, on this host or on a board: who listens, who talks to whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal

Protocol = Literal["tcp", "udp"]
Kind = Literal["tcp", "udp", "raw"]

KINDS: tuple[Kind, ...] = ("tcp", "udp", "raw")

# include/net/tcp_states.h, from 1 on; the words are those of netstat(8).
_STATES = dict(
    enumerate(
        (
            *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
            *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV"),
        ),
        start=1,
    )
)
# The state of a socket that waits for whoever comes; but for TCP it is one that is connected to
# nobody.
_WAITS: dict[Kind, str] = {"tcp": "LISTEN", "udp": "CLOSE", "raw": "CLOSE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """One line of a table: this end, the other end, and whose it is.

    ``port`` of a raw socket is the number of its protocol. ``received`` is in bytes that its
    program has not read, or, of one that listens, in connections that it has not accepted;
    ``unsent`` in bytes that the other end has not confirmed. ``inode`` is 0 where no program has
    it any more. ``ipv6`` is whether it is a socket of IPv6, which may talk to IPv4 too.
    """

    protocol: Kind
    address: IPv4Address | IPv6Address
    port: int
    peer: IPv4Address | IPv6Address
    peer_port: int
    state: str
    received: int
    unsent: int
    uid: int
    inode: int
    ipv6: bool

    @property
    def listens(self) -> bool:
        """Whether it waits for whoever comes."""
        return self.state == _WAITS[self.protocol]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """``address`` is the one that it listens at; 0.0.0.0 and :: are all that there are."""

    address: IPv4Address | IPv6Address
    port: int
    inode: int

    @property
    def open_to(self) -> str:
        """Who can reach it: "all", "loopback", or the address itself."""
        return open_to(self.address)


def open_to(address: IPv4Address | IPv6Address) -> str:
    """Who can reach what listens at ``address``: "all", "loopback", or the address itself."""
    if address.is_unspecified:
        return "all"
    return "loopback" if address.is_loopback else str(address)


def parse(text: str, protocol: Protocol = "tcp") -> list[Listener]:
    """What listens, of /proc/net/tcp, tcp6, udp or udp6, or several in a row; as `table`."""
    return [
        Listener(address=one.address, port=one.port, inode=one.inode)
        for one in table(text, protocol)
        if one.listens
    ]


def table(text: str, protocol: Kind = "tcp") -> Iterator[Socket]:
    """Read /proc/net/tcp, tcp6, udp, udp6, raw or raw6 of a little-endian machine.

    The fields are in Documentation/networking/proc_net_tcp.rst; lines that are none are left out.
    """
    for line in text.splitlines():
        fields = line.split()
        with suppress(ValueError, IndexError, KeyError):
            address, port = _end(fields[1])
            peer, peer_port = _end(fields[2])
            unsent, _, received = fields[4].partition(":")
            yield Socket(
                protocol=protocol,
                address=address,
                port=port,
                peer=peer,
                peer_port=peer_port,
                state=_STATES[int(fields[3], 16)],
                received=int(received, 16),
                unsent=int(unsent, 16),
                uid=int(fields[7]),
                inode=int(fields[9]),
                ipv6=len(fields[1]) > len("0100007F:0016"),
            )


def _end(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    address, _, port = text.partition(":")
    return _address(address), int(port, 16)


def _address(digits: str) -> IPv4Address | IPv6Address:
    """Words of 32 bits, each in the machine's order of bytes."""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    if len(words) == 1:
        return IPv4Address(words[0])
    address = IPv6Address(b"".join(words))
    return address.ipv4_mapped or address


def holder(port: int) -> str | None:
    """The name and process id of the program of this host that listens at a TCP ``port``.

    None if nobody does, or it is another user's and we may not see it.
    """
    tables = [path for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.exists()]
    listening = parse("".join(path.read_text() for path in tables))
    wanted = {f"socket:[{one.inode}]" for one in listening if one.port == port}
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        with suppress(OSError):  # it has ended, or is not ours
            if wanted & set(_open_files(process)):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _open_files(process: Path) -> Iterator[str]:
    for entry in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(entry.readlink())
