"""Who is being served, and what has been counted since the server began."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import replace

from rootfs_tool.tftpd.base import (
    Code,
    Event,
    Kind,
    Limits,
    Listener,
    Refused,
    Totals,
    Transfer,
)
from rootfs_tool.tftpd.link import Address
from rootfs_tool.tftpd.session import Key, Session, Steps

log = logging.getLogger(__name__)

REMEMBERED = 256  # clients whose transfer has ended


class Ledger:
    """Written by the loop alone; ``transfers`` and ``totals`` may be read from any thread."""

    def __init__(self, limits: Limits, listener: Listener) -> None:
        self.sessions: dict[Session, Steps] = {}
        self._limits = limits
        self._listener = listener
        self._asked: dict[Key, Session] = {}
        self._addresses: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._done: deque[Address] = deque(maxlen=REMEMBERED)

    def transfers(self) -> list[Transfer]:
        return [one.transfer() for one in list(self.sessions) if one.finished is None]

    def totals(self) -> Totals:
        now = Counter(self._totals)
        for session in list(self.sessions):
            _count(now, session)
        return Totals(**now)

    def asked(self, key: Key) -> Session | None:
        """The latest transfer that this client asked for here."""
        return self._asked.get(key)

    def over(self, peer: Address) -> bool:
        """Whether this client's transfer has ended only just."""
        return peer in self._done

    def make_room(self, address: str) -> None:
        """Raises Refused."""
        all_of_them, of_one = len(self.sessions), self._addresses[address]
        if all_of_them >= self._limits.sessions or of_one >= self._limits.per_address:
            raise Refused(Code.UNDEFINED, "too many transfers, try again later")

    def begin(self, session: Session, steps: Steps) -> None:
        self.sessions[session] = steps
        self._asked[session.key] = session
        self._addresses[session.address] += 1
        self._totals["begun"] += 1
        self._hear(session.event(Kind.BEGUN))

    def refuse(self, event: Event) -> None:
        self._totals["refused"] += 1
        self._hear(event)

    def end(self, session: Session, event: Event) -> None:
        del self.sessions[session]
        if self._asked.get(session.key) is session:
            del self._asked[session.key]
        self._addresses[session.address] -= 1
        if not self._addresses[session.address]:
            del self._addresses[session.address]
        self._done.append(session.key[1])
        _count(self._totals, session)
        self.tell(session, event)

    def tell(self, session: Session, event: Event) -> None:
        """Once for each transfer: an upload is there before we have seen the last of its client."""
        if not session.told:
            session.told = True
            if session.finished is not None:
                event = replace(event, kind=Kind.ENDED, reason="", hint="")
            self._totals[event.kind] += 1
            self._hear(event)

    def _hear(self, event: Event) -> None:
        try:
            self._listener(event)
        except Exception:  # a log that can't be written stops no board
            log.exception("the listener")


def _count(totals: Counter[str], session: Session) -> None:
    totals["bytes_received" if session.write else "bytes_sent"] += session.sent
    totals["retransmissions"] += session.retransmissions
