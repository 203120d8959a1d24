"""What a device holds after all writes, compared with what was written."""

from __future__ import annotations

import hashlib
import mmap
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle

from rootfs_tool import events
from rootfs_tool.errors import DeviceError
from rootfs_tool.flash.device import IN_FLIGHT, Device
from rootfs_tool.flash.reading import reading
from rootfs_tool.flash.source import PIECE, Piece, Source

SECTOR = 512  # bytes; the place of a difference is given to so many


def read_back(
    source: Source, card: Device, pieces: Sequence[Piece], sums: Mapping[int, bytes]
) -> int:
    """Read ``pieces`` and return how many bytes that were.

    ``sums`` has the sha256 of each piece by where it starts. Raises DeviceError naming the place of
    the first difference.
    """
    done, total = 0, sum(piece.end - piece.start for piece in pieces)
    with held(card, pieces) as read:
        for piece, got in read:
            if hashlib.sha256(got).digest() != sums[piece.start]:
                raise _differs(source, card, piece, bytes(got))
            done += len(got)
            events.progress(done, total)
    return done


@contextmanager
def held(card: Device, pieces: Iterable[Piece]) -> Iterator[Iterator[tuple[Piece, memoryview]]]:
    """What the device holds of each piece, good until the next one is taken."""
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        try:
            yield _read(card, pieces, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _read(
    card: Device, pieces: Iterable[Piece], pool: Executor
) -> Iterator[tuple[Piece, memoryview]]:
    buffers = [mmap.mmap(-1, PIECE) for _ in range(IN_FLIGHT + 2)]
    asked: deque[tuple[Piece, mmap.mmap, Future[None]]] = deque()

    def first() -> tuple[Piece, memoryview]:
        piece, buffer, done = asked.popleft()
        done.result()
        return piece, memoryview(buffer)[: piece.end - piece.start]

    for piece, buffer in zip(pieces, cycle(buffers), strict=False):
        asked.append((piece, buffer, pool.submit(card.read, buffer, piece.start, piece.end)))
        if len(asked) == len(buffers):
            yield first()
    while asked:
        yield first()


def _differs(source: Source, card: Device, piece: Piece, got: bytes) -> DeviceError:
    """The image is read once more: only the sums of what was written have been kept."""
    at = piece.start
    with reading(source) as filled:
        wanted = next(one.buffer[: len(got)] for one in filled if one.piece == piece)
    for offset in range(0, len(got), SECTOR):
        if got[offset : offset + SECTOR] != wanted[offset : offset + SECTOR]:
            at += offset
            break
    return DeviceError(
        f"{card.name} does not hold what was written to it, first at byte {at:,}",
        hint="it is worn out, or smaller than it says: try another card, and another reader",
    )
