"""Which bytes of a card's image must be written: known from its file systems, never from holes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rootfs_tool.blockmap import BlockMap, Kind, Range

BLOCK = 4096  # bytes; starts and ends are multiples of it
CHUNK = 1 << 20  # bytes read at a time
SMALL = 64 << 10  # bytes: a shorter gap between data is cheaper to write than to leave out
LARGEST = 8 << 20  # bytes of a range of data: several can be hashed at once, here and when flashing
THREADS = 2  # more would wait for the memory
_ZEROS = bytes(CHUNK)

Span = tuple[int, int]


def block_map(image: Path, used: Iterable[Span]) -> BlockMap:
    """The map of ``image``, of which ``used``, as (start, end) in any order, is in use.

    What is in use is DATA, or ZERO where it reads as zeros; the rest is FREE, but for gaps of up
    to 64 KiB between data. No range of data is longer than 8 MiB.
    """
    with image.open("rb", buffering=0) as file, ThreadPoolExecutor(THREADS) as pool:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        whole = (
            (start // BLOCK * BLOCK, min(-(-end // BLOCK) * BLOCK, size)) for start, end in used
        )
        spans = _joined(sorted(whole))
        found = pool.map(lambda span: _data(descriptor, span), _cut(spans, CHUNK))
        runs = (run for some in found for run in some)
        data = list(_cut(_joined(runs, gap=SMALL), LARGEST))
        digests = pool.map(lambda span: _sha256(descriptor, span), data)
        ranges: list[Range] = []
        at = 0
        for (start, end), digest in zip(data, digests, strict=True):
            ranges += _gap(at, start, spans)
            ranges.append(Range(kind=Kind.DATA, start=start, end=end, sha256=digest))
            at = end
        ranges += _gap(at, size, spans)
    return BlockMap(size=size, ranges=tuple(ranges))


def _joined(spans: Iterable[Span], *, gap: int = 0) -> list[Span]:
    """The same in fewer: those become one that touch, or lie up to ``gap`` bytes apart."""
    found: list[Span] = []
    for start, end in spans:
        if found and start <= found[-1][1] + gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _cut(spans: Iterable[Span], most: int) -> Iterator[Span]:
    """The same in spans of at most that many bytes."""
    for start, end in spans:
        for at in range(start, end, most):
            yield at, min(at + most, end)


def _data(descriptor: int, span: Span) -> list[Span]:
    """The blocks of a chunk that are not all zeros, neighbours as one."""
    start, end = span
    chunk = os.pread(descriptor, end - start, start)
    if chunk == _ZEROS[: len(chunk)]:
        return []
    zeros = _ZEROS[:BLOCK]
    if zeros not in chunk:  # as a rule, and much faster than block by block
        return [span]
    return _joined(
        (at, min(at + BLOCK, end))
        for at in range(start, end, BLOCK)
        if not chunk.startswith(zeros[: end - at], at - start)
    )


def _sha256(descriptor: int, span: Span) -> str:
    digest = hashlib.sha256()
    for start, end in _cut((span,), CHUNK):
        digest.update(os.pread(descriptor, end - start, start))
    return digest.hexdigest()


def _gap(start: int, end: int, spans: Iterable[Span]) -> Iterator[Range]:
    """What is neither data: ZERO where it is in use, FREE elsewhere."""
    at = start
    for first, last in spans:
        first, last = max(first, at), min(last, end)
        if first < last:
            if at < first:
                yield Range(kind=Kind.FREE, start=at, end=first)
            yield Range(kind=Kind.ZERO, start=first, end=last)
            at = last
    if at < end:
        yield Range(kind=Kind.FREE, start=at, end=end)
