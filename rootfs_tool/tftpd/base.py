"""What the engine is given and what it tells: files by name, limits, what became of a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

MIB = 1 << 20


class Code(IntEnum):
    """The error codes of RFC 1350, appendix, and RFC 2347."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_ID = 5
    EXISTS = 6
    NO_SUCH_USER = 7
    BAD_OPTION = 8


class Refused(Exception):
    """A request is answered with an ERROR packet; the text is ASCII, for the client's screen."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A regular file that is open for reading; who gets this closes ``fd``.

    ``size`` is in bytes. ``name`` is what was opened, as a person would call it, and ``note`` what
    else the log should say, such as which board asked.
    """

    fd: int
    size: int
    name: str
    note: str = ""


class Upload(ABC):
    """A file that arrives: whole in its place after ``commit``, else as if it had never come."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Raises Refused, such as when it is larger than may be."""

    @abstractmethod
    def commit(self) -> None:
        """Raises Refused."""

    @abstractmethod
    def discard(self) -> None: ...


class Files(ABC):
    """Where files come from, and go to. ``name`` is as it was on the wire, ``peer`` an address."""

    @abstractmethod
    def open(self, name: bytes, peer: str) -> Opened:
        """Raises Refused; never blocks, whatever the name leads to."""

    @abstractmethod
    def create(self, name: bytes, peer: str, size: int | None) -> Upload:
        """``size`` is what the client announced (tsize), in bytes. Raises Refused."""


class Kind(StrEnum):
    BEGUN = "begun"
    ENDED = "ended"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What became of a request.

    ``peer`` is "address:port" ("[address]:port" for IPv6), ``name`` the file as it was asked for
    (escaped where it is no text) and ``note`` as in Opened. Sizes are in bytes; ``reason`` says why
    it failed or was refused, and ``hint`` what to do about it.
    """

    kind: Kind
    peer: str
    name: str
    write: bool = False
    size: int | None = None
    sent: int = 0
    seconds: float = 0.0
    retransmissions: int = 0
    blksize: int = 512
    windowsize: int = 1
    note: str = ""
    reason: str = ""
    hint: str = ""


Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many transfers there may be in all and for one address.

    One that makes no progress ends after ``patience`` seconds. ``window`` is the largest
    windowsize that is granted.
    """

    sessions: int = 2000
    per_address: int = 1500
    patience: float = 25.0
    window: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer that is under way; names and units are those of Event."""

    peer: str
    name: str
    write: bool
    size: int | None
    sent: int
    seconds: float
    retransmissions: int
    blksize: int
    windowsize: int
    note: str

    @property
    def rate(self) -> float:
        """Bytes per second since it began."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Since the server began: requests by what became of them, bytes both ways, packets again."""

    begun: int = 0
    ended: int = 0
    failed: int = 0
    refused: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    retransmissions: int = 0
