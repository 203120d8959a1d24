"""One transfer: how far it is, what it is waiting for, and when to send again."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field

from rootfs_tool.tftpd import packet
from rootfs_tool.tftpd.base import Code, Event, Kind, Transfer
from rootfs_tool.tftpd.door import Door
from rootfs_tool.tftpd.link import Address, Link
from rootfs_tool.tftpd.options import Agreed

# A transfer is a generator that gets every datagram of its peer, and None when the timer fires.
# It returns when all is done, and raises what ends it.
Steps = Generator[None, bytes | None, None]
Key = tuple[Door, Address]

FIRST_RTO = 0.5  # seconds; RFC 6298 says 1, but a board's network is a local one
LEAST_RTO = 0.05  # seconds; a busy board may well take as long for one answer
LONGEST_RTO = 8.0


class Told(Exception):
    """The client ended the transfer with an ERROR packet."""

    def __init__(self, got: bytes) -> None:
        code = int.from_bytes(got[2:4], "big") if len(got) >= 4 else 0
        text = got[4:].split(b"\0")[0].decode("utf-8", "replace")
        named = Code(code).name.lower().replace("_", " ") if code in list(Code) else ""
        self.code = code
        super().__init__(f"the client gave up, error {code}: {text or named}")


class Rto:
    """How long to wait for an answer: Jacobson's estimate (RFC 6298), or what was agreed.

    ``seconds`` is that time, ``round_trip`` the smoothed measurement, 0 before the first.
    """

    def __init__(self, agreed: int | None) -> None:
        self.fixed = agreed is not None
        self.seconds = float(agreed or FIRST_RTO)
        self.round_trip = 0.0
        self._spread = 0.0

    def sample(self, seconds: float) -> None:
        """Take in a round trip; not one of a packet that was sent twice (Karn's rule)."""
        if self.round_trip:
            self._spread += (abs(self.round_trip - seconds) - self._spread) / 4
            self.round_trip += (seconds - self.round_trip) / 8
        else:
            self.round_trip, self._spread = seconds, seconds / 2
        if not self.fixed:
            self.seconds = min(LONGEST_RTO, max(LEAST_RTO, self.round_trip + 4 * self._spread))

    def after(self, tries: int) -> float:
        """The wait once a packet went out ``tries`` times again: twice as long each time."""
        return self.seconds if self.fixed else min(LONGEST_RTO, self.seconds * 2.0 ** min(tries, 9))


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """``acked`` counts blocks that have arrived, -1 while our OACK has no answer.

    ``last`` is the number of the last block once it is known. The clock's ticks keep the rest:
    ``quiet`` seconds without progress, ``waited`` seconds since something was sent, and ``tries``
    times that it was sent again. With ``hurry`` the timer fires at the next tick without progress.
    """

    peer: str
    address: str
    name: str
    write: bool
    key: Key  # where it was asked, and by whom
    asked: bytes  # the request, to know it when it comes again
    link: Link = field(init=False)
    agreed: Agreed = field(init=False)
    rto: Rto = field(init=False)
    undo: ExitStack = field(init=False)
    size: int | None = None
    note: str = ""
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    told: bool = False
    acked: int = 0
    seen: int = 0
    last: int | None = None
    quiet: float = 0.0
    waited: float = 0.0
    tries: int = 0
    hurry: bool = False
    retransmissions: int = 0
    received: int = 0

    @property
    def closing(self) -> bool:
        """Whether the last block is on its way: a client that has it may be gone at once."""
        return self.last is not None and self.acked + self.agreed.windowsize >= self.last

    @property
    def heard(self) -> bool:
        """Whether the client has ever answered."""
        return self.acked > 0 or (self.acked == 0 and bool(self.agreed.oack))

    @property
    def sent(self) -> int:
        """Bytes of the file that the other side is known to have."""
        if self.write:
            return self.received
        done = max(self.acked, 0) * self.agreed.blksize
        return min(done, self.size) if self.size is not None else done

    def overdue(self) -> bool:
        """Whether an old ACK, come again, may be answered before the timer that was put off.

        Never at once: a network that doubles packets would see its traffic doubled.
        """
        return self.tries > 0 and self.waited >= self.rto.seconds

    def again(self, packets: int = 1) -> None:
        self.retransmissions += packets
        self.waited = 0.0

    def patience(self, limit: float) -> float:
        """Seconds without progress that end it; one that lives has its own pace."""
        return max(limit, 3.0 * (self.agreed.timeout or 0)) if self.heard else limit

    def seconds(self) -> float:
        return (self.finished or time.monotonic()) - self.started

    def transfer(self) -> Transfer:
        return Transfer(
            peer=self.peer,
            name=self.name,
            write=self.write,
            size=self.size,
            sent=self.sent,
            seconds=self.seconds(),
            retransmissions=self.retransmissions,
            blksize=self.agreed.blksize,
            windowsize=self.agreed.windowsize,
            note=self.note,
        )

    def event(self, kind: Kind, reason: str = "", hint: str = "") -> Event:
        return Event(
            kind=kind,
            peer=self.peer,
            name=self.name,
            write=self.write,
            size=self.size,
            sent=self.sent,
            seconds=self.seconds(),
            retransmissions=self.retransmissions,
            blksize=self.agreed.blksize,
            windowsize=self.agreed.windowsize,
            note=self.note,
            reason=reason,
            hint=hint,
        )


def offer(session: Session) -> Steps:
    """Send the OACK until the client acknowledges it (RFC 2347)."""
    session.acked = session.seen = -1
    begun = time.monotonic()
    session.link.deliver(session.agreed.oack)
    while (got := (yield)) is None or got[:4] != packet.ack(0, 0):
        if got is None:
            session.again()
            session.link.deliver(session.agreed.oack)
        elif got[:2] == packet.ERROR:
            raise Told(got)
    if not session.tries:
        session.rto.sample(time.monotonic() - begun)
    session.acked = 0
