"""A client writes: what arrives is taken in order, and is in its place before the last ACK."""

from __future__ import annotations

import time

from rootfs_tool.tftpd import packet
from rootfs_tool.tftpd.base import Code, Refused, Upload
from rootfs_tool.tftpd.netascii import Decoder
from rootfs_tool.tftpd.session import Session, Steps, Told

LINGER = 3.0  # seconds to be there for a client that missed the last ACK


def steps(session: Session, upload: Upload, *, text: bool) -> Steps:
    """Take the file; what is not whole at the end is discarded, whatever the end is."""
    try:
        yield from _receive(session, upload, Decoder() if text else None)
    except BaseException:
        if session.finished is None:
            upload.discard()
        raise


def _receive(session: Session, upload: Upload, decoder: Decoder | None) -> Steps:
    blksize, rollover = session.agreed.blksize, session.agreed.rollover
    answer = session.agreed.oack or packet.ack(0, rollover)
    complained = -1  # the block behind which a gap was told, once
    unanswered = 0
    session.link.deliver(answer)
    while True:
        got = yield
        if got is None:
            session.again()
        elif got[:2] == packet.ERROR:
            raise Told(got)
        elif got[:2] != packet.DATA or len(got) < 4:
            continue
        elif packet.ahead(int.from_bytes(got[2:4], "big"), session.acked, rollover) == 1:
            _take(session, upload, decoder, got)
            unanswered += 1
            if len(got) < blksize + 4:
                break
            if unanswered < session.agreed.windowsize:
                continue
            answer = packet.ack(session.acked, rollover)
        elif complained == session.acked and not session.overdue():
            continue
        else:
            # a gap, or blocks that we have because our ACK was lost: say once where we are
            complained = session.acked
            if session.acked:
                answer = packet.ack(session.acked, rollover)
            session.again()
        unanswered = 0
        session.link.deliver(answer)
    _commit(session, upload)
    yield from _linger(session, packet.ack(session.acked, rollover))


def _take(session: Session, upload: Upload, decoder: Decoder | None, got: bytes) -> None:
    data, last = got[4:], len(got) < session.agreed.blksize + 4
    if len(data) > session.agreed.blksize:
        raise Refused(Code.ILLEGAL_OPERATION, "a block is longer than was agreed")
    data = decoder.decode(data, last=last) if decoder else data
    session.received += len(data)
    if session.size and decoder is None and session.received > session.size:
        raise Refused(Code.DISK_FULL, "more came than was announced")
    if data:
        upload.write(data)
    session.acked += 1
    if last and session.size and decoder is None and session.received != session.size:
        raise Refused(Code.UNDEFINED, "less came than was announced")


def _commit(session: Session, upload: Upload) -> None:
    upload.commit()
    session.last = session.acked
    session.finished = time.monotonic()


def _linger(session: Session, answer: bytes) -> Steps:
    session.link.deliver(answer)
    until = time.monotonic() + LINGER
    while time.monotonic() < until:
        got = yield
        if got is not None and got[:2] == packet.DATA and got[2:4] == answer[2:4]:
            session.link.deliver(answer)
