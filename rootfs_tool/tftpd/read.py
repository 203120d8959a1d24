"""A client reads: block by block, or a window at a time (RFC 1350, RFC 7440)."""

from __future__ import annotations

import itertools
import time

from rootfs_tool.tftpd import packet
from rootfs_tool.tftpd.image import Content
from rootfs_tool.tftpd.link import forgive
from rootfs_tool.tftpd.session import Session, Steps, Told, offer


def steps(session: Session, content: Content) -> Steps:
    """Offer what was agreed, then send the file."""
    if session.agreed.oack:
        yield from offer(session)
    if session.agreed.windowsize > 1:
        yield from _windows(session, content)
    else:
        yield from _lockstep(session, content)


def _lockstep(session: Session, content: Content) -> Steps:
    """One block, one ACK; an old ACK starts nothing, or each doubled one would double the rest."""
    send, clock, rto = session.link.send, time.monotonic, session.rto
    block = 0
    for index in itertools.count():
        pairs = content.pairs(index)
        if len(pairs[-1][0]) < content.blksize + 4:
            session.last = block + len(pairs)
        begun = clock()
        for data, ack in pairs:
            try:
                send(data)
            except OSError as error:
                forgive(error)
            while (got := (yield)) != ack:
                if got is None or _worth_repeating(session, got):
                    session.again()
                    begun = -1.0  # this one tells nothing of the round trip, but the next may
                    try:
                        send(data)
                    except OSError as error:
                        forgive(error)
                elif got[:4] == ack:
                    break
            block += 1
            session.acked = block
            if begun > 0:
                rto.sample(clock() - begun)
                begun = 0.0
            elif begun < 0:
                begun = clock()
        if session.last is not None:
            return


def _worth_repeating(session: Session, got: bytes) -> bool:
    if got[:2] == packet.ERROR:
        raise Told(got)
    return got[:2] == packet.ACK and session.overdue()


def _windows(session: Session, content: Content) -> Steps:
    """A window at once, and the next from wherever the client says that it is."""
    clock, rto = time.monotonic, session.rto
    rollover = session.agreed.rollover
    acked, repaired, fresh = 0, -1, True
    begun = clock()
    end = _burst(session, content, acked)
    while True:
        got = yield
        if got is None:
            repaired = -1
        elif got[:2] == packet.ERROR:
            raise Told(got)
        elif got[:2] != packet.ACK or len(got) < 4:
            continue
        else:
            further = packet.ahead(got[2] << 8 | got[3], acked, rollover)
            if 0 < further <= end - acked:
                if fresh:
                    rto.sample(clock() - begun)
                acked += further
                session.acked = acked
                session.hurry = False
                if acked == session.last:
                    return
            elif further or repaired == acked or clock() - begun < rto.round_trip / 2:
                # no ACK of ours, a gap that is mended, or the network's own copy: that comes at
                # once, and a client can't miss a block sooner than one has got there
                continue
            else:
                repaired = acked
                session.hurry = True
                continue
        fresh = end == acked
        if not fresh:
            session.again(end - acked)
        begun = clock()
        end = _burst(session, content, acked)


def _burst(session: Session, content: Content, acked: int) -> int:
    """Send a window, behind ``acked``; returns the number of its last block."""
    size, row = content.blksize + 4, content.row
    block, end = acked, acked + session.agreed.windowsize
    try:
        while block < end and block != session.last:
            index, place = divmod(block, row)
            joined = content.joined(index)
            if len(joined) < row * size:
                session.last = index * row + -(-len(joined) // size)
                end = min(end, session.last)
            upto = min(row, place + end - block)
            session.link.burst(joined[place * size : upto * size], size)
            block = index * row + upto
        if end % row == 0 and end != session.last:
            content.joined(end // row)  # the next one, while the client is busy with this
    except OSError as error:
        forgive(error)
    return end
