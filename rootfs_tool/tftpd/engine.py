"""The loop: one epoll, one generator per transfer, and nothing that a client sends stops it."""

from __future__ import annotations

import logging
import os
import resource
import select
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial

from rootfs_tool.printable import printable
from rootfs_tool.tftpd import packet
from rootfs_tool.tftpd.base import (
    Code,
    Event,
    Files,
    Kind,
    Limits,
    Listener,
    Refused,
    Totals,
    Transfer,
)
from rootfs_tool.tftpd.door import Arrival, Door, host, text
from rootfs_tool.tftpd.ledger import Ledger
from rootfs_tool.tftpd.link import PASSING, OwnPort, Ports
from rootfs_tool.tftpd.opening import Opener
from rootfs_tool.tftpd.session import Key, Session, Steps, Told

log = logging.getLogger(__name__)

TICK = 0.01  # seconds between looks at the timers while there are transfers
IDLE = 0.5  # seconds between looks at what a signal asked for just before the sleep, or elsewhere
STALL = 0.1  # seconds that count at most: nobody pays for our sleep
TURN = 64  # datagrams that one socket may have before the others' turn
ALONE = 16  # datagrams of the only client before a look at all else
ACK_BYTES = 128  # of what a reader sends: an ACK, or an ERROR and the beginning of its text
RESTART = 1.0  # seconds after which the same request from the same port is a new one

Receive = Callable[[], bytes]
Feed = Callable[[bytes | None], None]


def silent(event: Event) -> None:
    """Tell nobody."""


class Engine:
    """Serves ``files`` on ``sockets``, which stay the caller's, until it is told to stop.

    ``listener`` hears in the loop's thread what became of each request. With ``single_port`` every
    transfer is answered from the port that was asked, for firewalls and NAT; it costs speed.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        files: Files,
        *,
        limits: Limits = Limits(),  # noqa: B008 # frozen
        listener: Listener = silent,
        single_port: bool = False,
    ) -> None:
        self._doors = [Door(one) for one in sockets]
        self._patience = limits.patience
        self._single = single_port
        ports = None if single_port else Ports(self._watch_stray, self._forget)
        self._opener = Opener(files, limits, ports)
        self._poller = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._others: dict[int, Callable[[], None]] = {}
        self._inbox: dict[int, tuple[Receive, Feed, Session]] = {}
        self._ledger = Ledger(limits, listener)
        self._sessions = self._ledger.sessions

    def run(self) -> None:
        """Serve until ``stop``, then end what is under way and close all but the sockets."""
        _all_descriptors()
        for door in self._doors:
            self._watch(door.socket.fileno(), partial(self._listen, door))
        self._watch(self._bell, self._ring)
        try:
            self._loop()
        finally:
            for session in list(self._sessions):
                self._fail(session, "the server was stopped", Code.UNDEFINED)
            self._poller.close()
            os.close(self._bell)

    def stop(self) -> None:
        """End ``run``; from any thread, or a signal handler."""
        os.eventfd_write(self._bell, 1)

    def transfers(self) -> list[Transfer]:
        """What is under way, from any thread."""
        return self._ledger.transfers()

    def totals(self) -> Totals:
        """The counters, what is under way included; from any thread."""
        return self._ledger.totals()

    def _loop(self) -> None:
        inbox, poll, clock = self._inbox, self._poller.poll, time.monotonic
        before, busy = clock(), False
        while not self._stopping:
            for fd, _ in poll(0 if busy else TICK if self._sessions else IDLE):
                entry = inbox.get(fd)
                if entry is None:
                    self._others.get(fd, _nothing)()
                    continue
                receive, feed, session = entry
                try:
                    feed(receive())
                except Exception as error:  # one client's trouble is its own
                    self._stopped(session, error)
            busy = len(inbox) == 1 and self._alone(*next(iter(inbox.values())))
            now = clock()
            if now - before >= TICK:
                self._tick(min(now - before, STALL))
                before = now

    def _alone(self, receive: Receive, feed: Feed, session: Session) -> bool:
        """Wait in the socket of the only client: a call less for each block. False: it is quiet."""
        try:
            for _ in range(ALONE):
                feed(receive())
        except Exception as error:  # the only client's trouble is its own too
            self._stopped(session, error)
            return False
        return True

    def _tick(self, elapsed: float) -> None:
        """Only compare, for most: what has moved since the last look needs nothing."""
        limit = self._patience
        for session, steps in list(self._sessions.items()):
            if session.acked != session.seen:
                session.seen = session.acked
                session.quiet = session.waited = 0.0
                session.tries = 0
                continue
            session.quiet += elapsed
            session.waited += elapsed
            if session.finished is not None and not session.told:
                self._ledger.tell(session, session.event(Kind.ENDED))
            if session.quiet >= limit and session.quiet >= session.patience(limit):
                self._lose(session)
            elif session.hurry or session.waited >= session.rto.after(session.tries):
                session.hurry = False
                session.tries += 1
                session.waited = 0.0
                self._feed(session, steps, None)

    def _feed(self, session: Session, steps: Steps, got: bytes | None) -> None:
        try:
            steps.send(got)
        except Exception as error:  # whatever a timer or packet set off ends one transfer
            self._stopped(session, error)

    def _listen(self, door: Door) -> None:
        for _ in range(TURN):
            try:
                arrival = door.receive()
            except BlockingIOError:
                return
            except OSError as error:
                log.debug("listening: %s", error)
                return
            if arrival is None:
                continue
            try:
                self._arrived(door, arrival)
            except Exception:  # the next datagram is somebody else's
                log.debug("%s", text(arrival.peer), exc_info=True)

    def _arrived(self, door: Door, arrival: Arrival) -> None:
        key = (door, arrival.peer)
        session = self._ledger.asked(key)
        operation = arrival.packet[:2]
        if operation in (packet.RRQ, packet.WRQ):
            if session is not None and self._repeated(session, arrival):
                return
            self._begin(door, arrival, key)
        elif session is not None and self._single:
            self._feed(session, self._sessions[session], arrival.packet)
        elif self._ledger.over(arrival.peer):
            return  # its last ACK, once more
        elif operation in (packet.DATA, packet.ACK):
            door.answer(arrival, packet.error(Code.UNKNOWN_ID, "unknown transfer"))
        elif len(operation) == 2 and operation != packet.ERROR:
            door.answer(arrival, packet.error(Code.ILLEGAL_OPERATION, "illegal TFTP operation"))

    def _repeated(self, session: Session, arrival: Arrival) -> bool:
        """Whether this request has its answer under way already, which has a timer of its own."""
        if session.asked != arrival.packet:
            return False
        since = session.quiet if self._single else session.seconds()
        return session.acked < 1 or since < RESTART

    def _begin(self, door: Door, arrival: Arrival, key: Key) -> None:
        name = ""
        try:
            request = packet.request(arrival.packet)
            name = printable(request.name.decode("utf-8", "surrogateescape"))
            self._ledger.make_room(host(arrival.peer))
            session, steps = self._opener.open(door, arrival, request, name, key)
        except Exception as error:  # any trouble is an answer to this client
            self._refuse(door, arrival, name, error)
            return
        old = self._ledger.asked(key)
        if old is not None and self._single:  # one port can't tell two transfers apart
            self._finish(old, Kind.FAILED, "the client asked anew")
        self._ledger.begin(session, steps)
        if isinstance(session.link, OwnPort):
            mine = session.link.socket
            longest = session.agreed.blksize + 5 if session.write else ACK_BYTES
            self._inbox[mine.fileno()] = (partial(mine.recv, longest), steps.send, session)
            self._poller.register(mine.fileno(), select.EPOLLIN)
        self._feed(session, steps, None)

    def _refuse(self, door: Door, arrival: Arrival, name: str, error: Exception) -> None:
        if not isinstance(error, Refused):
            log.debug("%s %s", text(arrival.peer), name, exc_info=error)
            said = error.strerror if isinstance(error, OSError) else type(error).__name__
            error = Refused(Code.UNDEFINED, f"the server cannot: {said}")
        door.answer(arrival, packet.error(error.code, str(error)))
        self._ledger.refuse(
            Event(
                kind=Kind.REFUSED,
                peer=text(arrival.peer),
                name=name,
                write=arrival.packet[:2] == packet.WRQ,
                reason=str(error),
            )
        )

    def _stopped(self, session: Session, error: Exception) -> None:
        """What came out of a transfer's generator or its socket: most of it ends the transfer."""
        match error:
            case StopIteration():
                self._finish(session, Kind.ENDED)
            case Refused():
                self._fail(session, str(error), error.code)
            case Told():
                self._finish(session, Kind.FAILED, str(error))
            case OSError() if error.errno in PASSING:
                return
            case ConnectionRefusedError() if session.closing:
                self._finish(session, Kind.ENDED)
            case ConnectionRefusedError():
                self._finish(session, Kind.FAILED, "the client is gone: its port is closed")
            case _:
                log.debug("%s %s", session.peer, session.name, exc_info=error)
                self._fail(session, f"{type(error).__name__}: {error}", Code.UNDEFINED)

    def _lose(self, session: Session) -> None:
        """The client fell silent."""
        if session.closing and session.heard:
            self._finish(session, Kind.ENDED, "its last ACK never came")
        elif session.heard:
            self._fail(session, "the client fell silent")
        else:
            hint = (
                f"a firewall may drop what leaves UDP port {session.link.port()} of this host, "
                "or what comes to it"
            )
            if not self._single:
                hint += ": let that pass, or answer from the one port (--single-port)"
            self._finish(session, Kind.FAILED, "no answer ever came", hint)

    def _fail(self, session: Session, reason: str, code: Code = Code.UNDEFINED) -> None:
        if session.finished is None:
            session.link.deliver(packet.error(code, reason))
        self._finish(session, Kind.FAILED, reason)

    def _finish(self, session: Session, kind: Kind, reason: str = "", hint: str = "") -> None:
        if session not in self._sessions:
            return
        if isinstance(session.link, OwnPort):
            self._forget(session.link.socket)
        session.undo.close()
        self._ledger.end(session, session.event(kind, reason, hint))

    def _watch_stray(self, stray: socket.socket) -> None:
        self._watch(stray.fileno(), partial(self._listen, Door(stray)))

    def _watch(self, fd: int, heard: Callable[[], None]) -> None:
        self._others[fd] = heard
        self._poller.register(fd, select.EPOLLIN)

    def _forget(self, gone: socket.socket) -> None:
        fd = gone.fileno()
        self._others.pop(fd, None)
        self._inbox.pop(fd, None)
        self._poller.unregister(fd)

    def _ring(self) -> None:
        os.eventfd_read(self._bell)
        self._stopping = True  # by the loop itself, which closes the bell then


def _nothing() -> None:
    """A socket that was closed in the same turn."""


def _all_descriptors() -> None:
    """As many as may be: each transfer takes one, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
