"""A source cut into what a board fetches in one go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from rootfs_tool.blockmap import Kind
from rootfs_tool.flash.reading import Filled

SIZE = 4 << 20  # bytes of a load at most: what a lost transfer repeats
RUNS = 256  # of a load at most: they all stand in one command line


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes ``start`` up to, not including, ``end``, either data or zeros."""

    kind: Kind
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def parts(self, size: int) -> Iterator[Run]:
        """The run, in pieces of ``size`` bytes."""
        for start in range(self.start, self.end, size):
            yield Run(self.kind, start, min(start + size, self.end))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Runs of a disk in order; ``data`` has the bytes of those of data, one after the other.

    ``sha256`` is of all that the runs must hold, zeros included.
    """

    runs: tuple[Run, ...]
    data: bytes
    sha256: str

    @property
    def size(self) -> int:
        return sum(run.size for run in self.runs)


def loads(filled: Iterator[Filled], head: bytearray) -> Iterator[Load]:
    """Everything behind the head, whose bytes are put into ``head``.

    Raises ConfigError where the image is damaged.
    """
    runs: list[Run] = []
    data, digest, size = bytearray(), hashlib.sha256(), 0
    for one in filled:
        kind, start, end = one.piece.range.kind, one.piece.start, one.piece.end
        if start < len(head):
            head[start:end] = one.buffer[: end - start]
            continue
        if size + end - start > SIZE or len(runs) == RUNS:
            yield Load(runs=tuple(runs), data=bytes(data), sha256=digest.hexdigest())
            runs, data, digest, size = [], bytearray(), hashlib.sha256(), 0
        content = memoryview(one.buffer)[: end - start]
        digest.update(content)
        size += end - start
        if kind is Kind.DATA:
            data += content
        if runs and runs[-1].kind is kind and runs[-1].end == start:
            start = runs.pop().start
        runs.append(Run(kind, start, end))
    if runs:
        yield Load(runs=tuple(runs), data=bytes(data), sha256=digest.hexdigest())


def data(start: int, content: bytes) -> Load:
    """A load of one run."""
    run = Run(Kind.DATA, start, start + len(content))
    return Load(runs=(run,), data=content, sha256=hashlib.sha256(content).hexdigest())
