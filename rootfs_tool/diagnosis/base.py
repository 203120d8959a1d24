"""What a rule is given, and what it says: why something failed, what mends it, what shows it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from rootfs_tool.diagnosis import told
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
# Behind the word, or behind an address and a colon: 16:40 is no port, nor is any part of a MAC.
_PORT = re.compile(
    r"(?:\bport[ =:]*"
    r"|(?:(?<![\d.])\d+(?:\.\d+){3}\)?|\*|\[[\da-f:.]*:[\da-f:.]*\]|://[\w.-]+|\blocalhost):)"
    r"(\d{1,5})\b(?!@)",
    re.IGNORECASE,
)
# What goes without saying.
_UNSAID = (
    (re.compile(r"\bhttp://(?:[\w.-]+|\[[\d:a-fA-F]+\])(?![\w.:@-])"), 80),
    (re.compile(r"\bhttps://(?:[\w.-]+|\[[\d:a-fA-F]+\])(?![\w.:@-])"), 443),
)

_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
_LOST = re.compile(r"^--- (\S+) ping statistics ---\n.*\b100% packet loss", re.MULTILINE)
_ANSWERED = re.compile(r"\bbytes from ([^:\n]+): ")

# What the network says no with: errno(3).
_OF_NETWORK = (
    *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNREFUSED),
    *(errno.ENETDOWN, errno.ECONNRESET, errno.EADDRNOTAVAIL),
)
# A program that was told nonsense, or is not there, or may not, has not come to use the network.
_NOT_BEGUN = re.compile(
    r"^Usage: |: not found$|\bbad address '(?:[\d.:]*|[^']*/[^']*)'"
    r"|^(?:tftp|wget|nc|telnet|ping): (?:bad port|invalid number|can't (?:open|create)) '",
    re.MULTILINE,
)
# A lock times out too: of the network is what speaks of it, or of an address.
_ABOUT = (
    r"(?i:\b(?:connect|recv|send|socket|accept|server|host|network|peer|request|download|response"
    r"|reply|operation)|\d+(?:\.\d+){3}\b)"
)
_SILENCE = re.compile(
    r"\b100% packet loss|\btftp: timeout|\bno answer\b"
    rf"|{_ABOUT}.*\btimed out\b|\btimed out\b.*{_ABOUT}"
)
_HERE = (errno.EADDRINUSE, errno.EACCES, errno.EROFS, errno.ENOSPC)
# Where EACCES is a server's, or a route's that prohibits.
_THERE = re.compile(r"\btftp: server error|(?<![\w./-])connect\b(?!/)")
_SPEAKERS = ("tftp", "ping", "wget", "nc", "telnet", "arping")
# An answer, though not the one that was wanted.
_REPLIES = (
    *("tftp: server error", "server returned error", "closed by foreign host"),
    "error from peer",
)

# What is said where a name has no address.
NO_NAME = (
    *("temporary failure in name resolution", "name or service not known", "servname not"),
    *("getaddrinfo", "bad address '", "unknown host", "no address associated", "nxdomain"),
    "no servers could be reached",
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

    @property
    def astray(self) -> bool:
        """Whether it failed on the way: who refuses has been reached, and his answer came back.

        What a route of the board's own prohibits has not even left.
        """
        own = [one.ip for one in self.state.addresses]
        met = not self.subject.from_host or self.outside is None or self.outside.board in own
        replied = self.errors(errno.ECONNREFUSED, errno.ECONNRESET) or self.lines(*_REPLIES)
        prohibited = any(_THERE.search(line) for line in self.errors(errno.EACCES))
        lost = _LOST.search(self.said)  # somebody else, then
        return self.outward and not (met and (replied or prohibited) and not lost)

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
        found += told.ports(self.subject.command)
        found += [port for pattern, port in _UNSAID if pattern.search(self.subject.command)]
        return [one for one in dict.fromkeys(found) if 0 < one < 65536]

    def ports_of(self, lines: tuple[str, ...]) -> list[int]:
        """The ports that ``lines`` name, else all that were spoken of; of a check's own only it."""
        if self.subject.port is not None:
            return [self.subject.port]
        named = [int(one) for one in _PORT.findall("\n".join(lines))]
        return list(dict.fromkeys(named)) or self.ports()

    def addresses(self) -> list[IPv4Address]:
        """The IPv4 addresses that were spoken of, in their order."""
        return addresses(self.all_said)

    def peers(self) -> list[IPv4Address]:
        """Whom the board spoke to, or who spoke to it, as far as that is known.

        Who did not answer a ping, or who was spoken of beside those who did; if there is nobody
        else, those: they answer pings, and perhaps nothing else.
        """
        if self.subject.from_host:
            source = self.outside.source if self.outside else None
            return [one for one in (source or self.host,) if one is not None]
        if self.subject.peer is not None:
            return [self.subject.peer]
        if self.host is not None and self.lines("did not arrive"):
            return [self.host]
        lost = addresses(" ".join(_LOST.findall(self.said)))
        spoken = unanswered(self.said, self.subject)
        if not spoken and not self.lines(*NO_NAME):
            spoken = self.addresses()
        return [one for one in lost or spoken if self.stranger(one)]

    @property
    def of_ipv6(self) -> bool:
        """Whether the way to an IPv6 address is all that was spoken of."""
        others = [one for one in ipv6(self.all_said) if not one.is_loopback]
        return bool(others) and not self.addresses() and self.subject.peer is None

    def stranger(self, address: IPv4Address) -> bool:
        """Somebody else, neither the board nor a number that looks like an address."""
        own = {one.ip for one in self.state.addresses}
        usual = not (address.is_loopback or address.is_unspecified or address.is_multicast)
        return usual and address not in own and int(address) >> 24 < 255

    def interface(self, name: str) -> Interface | None:
        """One of the board's; None if it has none of that name."""
        return next((one for one in self.state.interfaces if one.name == name), None)


def ipv6(text: str) -> list[IPv6Address]:
    """The IPv6 addresses in a text."""
    found = []
    for one in _IPV6.findall(text):
        with suppress(ValueError):  # a MAC, or what shows the hour
            found.append(IPv6Address(one))
    return found


def addresses(text: str) -> list[IPv4Address]:
    """The IPv4 addresses in a text, each once."""
    numbers = (list(map(int, one.split("."))) for one in _IPV4.findall(text))
    return list(dict.fromkeys(IPv4Address(bytes(four)) for four in numbers if max(four) < 256))


def unanswered(said: str, subject: Subject) -> list[IPv4Address]:
    """The IPv4 addresses that were spoken of, without those that answered a ping."""
    there = addresses(" ".join(_ANSWERED.findall(said)))
    return [one for one in addresses(f"{subject.command}\n{said}") if one not in there]


def goes_out(said: str, subject: Subject, own: tuple[IPv4Address, ...] = ()) -> bool:
    """Whether it failed on the way between the board and others, not within the board."""
    spoken = unanswered(said, subject)
    inside = bool(spoken) and all(one.is_loopback or one in own for one in spoken)
    inside = inside or (not spoken and set(told.hosts(subject.command)) == {"localhost"})
    return subject.network or (of_network(said, subject) and not inside)


def of_network(said: str, subject: Subject) -> bool:
    """Whether the network is what failed, or part of it."""
    if subject.network or errors(said, *_OF_NETWORK):
        return True
    here = [line for line in errors(said, *_HERE) if not _THERE.search(line)]
    if _SILENCE.search(said):
        return True
    if here or _NOT_BEGUN.search(said):
        return False
    names = (path.rpartition("/")[2] for path, _ in told.programs(subject.command))
    asked = any(name in _SPEAKERS for name in names) or re.search(r"\btftp: |% packet loss", said)
    return bool(asked) or any(word in said.lower() for word in NO_NAME)


def errors(said: str, *numbers: int) -> tuple[str, ...]:
    """The lines that speak of one of these errors, by its text, name or number (errno(3))."""
    words = [rf"{re.escape(os.strerror(number))}(?! or )" for number in numbers]  # not ENXIO's
    words += [rf"\b{errno.errorcode[number]}\b" for number in numbers]
    # Behind a bracket it is make's, and a status.
    words += [rf"(?<!\] )\b(?:error|errno)[ =:]*{number}\b" for number in numbers]
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
