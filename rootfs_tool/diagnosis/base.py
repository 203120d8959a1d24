"""What a rule is given, and what it says: why something failed, what mends it, what shows it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from rootfs_tool.diagnosis.board import Board
from rootfs_tool.diagnosis.host import Here
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.netstate.interfaces import Interface
from rootfs_tool.netstate.listening import Listening
from rootfs_tool.netstate.outside import Outside
from rootfs_tool.netstate.scan import Knock
from rootfs_tool.netstate.state import State
from rootfs_tool.network import Network

_IPV4 = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
_PORT = re.compile(
    r"(?:\bport[ =:]*|[\d*\]]:|\blocalhost:|\(\d+\.\d+\.\d+\.\d+\):)(\d{1,5})\b", re.IGNORECASE
)

# What the network says no with: errno(3).
_OF_NETWORK = (
    *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNREFUSED),
    *(errno.ENETDOWN, errno.ECONNRESET, errno.EADDRNOTAVAIL),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """``evidence`` are the lines that show the ``cause``, ``mend`` is what to do about it."""

    rule: str
    cause: str
    mend: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was ``said`` when it failed, and what was seen on both ends right after.

    ``host`` is this computer as the board sees it. ``outside`` and ``knock`` are this host's view
    of the board, None where it cannot see it, or was not asked to. ``drivers`` are the aliases of
    devices that no driver has, each with its module in the kernel's package.
    """

    said: str
    subject: Subject
    network: Network
    state: State
    board: Board
    host: IPv4Address | None = None
    here: Here = field(default_factory=Here)
    outside: Outside | None = None
    knock: Knock | None = None
    drivers: tuple[tuple[str, str], ...] = ()

    @property
    def all_said(self) -> str:
        """With the command, which may name what the answer does not."""
        return f"{self.subject.command}\n{self.said}"

    @property
    def of_network(self) -> bool:
        """Whether the network is what failed, or part of it."""
        return of_network(self.said, self.subject)

    @property
    def outward(self) -> bool:
        """Whether the board's way to others, or theirs to it, was part of what failed."""
        return goes_out(self.said, self.subject, tuple(one.ip for one in self.state.addresses))

    def lines(self, *words: str) -> tuple[str, ...]:
        """The lines that have one of ``words``, whatever their case."""
        wanted = [word.lower() for word in words]
        return tuple(
            line.strip()
            for line in self.said.splitlines()
            if any(word in line.lower() for word in wanted)
        )

    def errors(self, *numbers: int) -> tuple[str, ...]:
        """The lines that speak of one of these errors, by its text, name or number (errno(3))."""
        return errors(self.said, *numbers)

    def ports(self) -> list[int]:
        """The TCP or UDP ports that were spoken of, the check's own first."""
        found = [] if self.subject.port is None else [self.subject.port]
        found += [int(one) for one in _PORT.findall(self.all_said)]
        return [one for one in dict.fromkeys(found) if 0 < one < 65536]

    def addresses(self) -> list[IPv4Address]:
        """The IPv4 addresses that were spoken of, in their order."""
        return addresses(self.all_said)

    def interface(self, name: str) -> Interface | None:
        """One of the board's; None if it has none of that name."""
        return next((one for one in self.state.interfaces if one.name == name), None)


def addresses(text: str) -> list[IPv4Address]:
    """The IPv4 addresses in a text, each once."""
    numbers = (list(map(int, one.split("."))) for one in _IPV4.findall(text))
    return list(dict.fromkeys(IPv4Address(bytes(four)) for four in numbers if max(four) < 256))


def goes_out(said: str, subject: Subject, own: tuple[IPv4Address, ...] = ()) -> bool:
    """Whether it failed on the way between the board and others, not within the board."""
    spoken = addresses(f"{subject.command}\n{said}")
    inside = bool(spoken) and all(one.is_loopback or one in own for one in spoken)
    return subject.network or (of_network(said, subject) and not inside)


def of_network(said: str, subject: Subject) -> bool:
    """Whether the network is what failed, or part of it."""
    asked = re.search(r"\b(?:tftp|ping|wget|nc|telnet|arping)\s", subject.command)
    silence = asked or re.search(r"\btftp: |% packet loss|\bno answer\b|\btimed out\b", said)
    return subject.network or bool(silence) or bool(errors(said, *_OF_NETWORK))


def errors(said: str, *numbers: int) -> tuple[str, ...]:
    """The lines that speak of one of these errors, by its text, name or number (errno(3))."""
    words = [re.escape(os.strerror(number)) for number in numbers]
    words += [rf"\b{errno.errorcode[number]}\b" for number in numbers]
    words += [rf"\b(?:error|errno)[ =:]*{number}\b" for number in numbers]
    either = re.compile("|".join(words), re.IGNORECASE)
    return tuple(line.strip() for line in said.splitlines() if either.search(line))


Rule = Callable[[Evidence], Iterator[Diagnosis]]


def shown(one: Interface) -> str:
    """An interface in a line: its state, its link and its addresses."""
    words = ["down" if one.up is False else "up"]
    if one.carrier is not None and one.name != "lo":
        words.append("link" if one.carrier else "no link")
    addresses = ", ".join(str(address) for address in one.addresses if address.version == 4)
    return f"{one.name}: {', '.join(words)}, {addresses or 'no IPv4 address'}"


def listener(one: Listening) -> str:
    """Who listens, where, and to whom that is open, in a line."""
    by = ", ".join(map(str, one.programs)) or "a program"
    return f"{by} listens at {one.address}:{one.port}/{one.protocol}: open to {one.open_to}"
