"""The bytes of a source, unpacked, hashed and compared with its map while they are written."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import IO, Protocol

from rootfs_tool import compressed
from rootfs_tool.blockmap import Kind
from rootfs_tool.compressed import Damaged, Format
from rootfs_tool.errors import ConfigError
from rootfs_tool.flash.ahead import ahead
from rootfs_tool.flash.device import IN_FLIGHT
from rootfs_tool.flash.source import AGAIN, PIECE, Piece, Source

DEPTH = 2  # pieces that wait between two threads
# One that is being read, one that is being hashed, one that has been taken, those that wait, and
# those that are still being written.
_BUFFERS = 3 + 2 * DEPTH + IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Filled:
    """``buffer`` has PIECE bytes, page-aligned, and begins with the piece's; zeros follow.

    It may be filled anew when IN_FLIGHT more pieces have been taken.
    """

    piece: Piece
    buffer: mmap.mmap
    sha256: bytes


@contextmanager
def reading(source: Source) -> Iterator[Iterator[Filled]]:
    """Every piece of a source. Taking one raises ConfigError where the image is damaged."""
    with (
        ahead(_read(source), DEPTH) as pieces,
        ahead(_hashed(source, pieces), DEPTH) as hashed,
    ):
        yield hashed


def _hashed(
    source: Source, pieces: Iterator[tuple[Piece, mmap.mmap]]
) -> Generator[Filled, None, None]:
    """Raises ConfigError at the end of a range whose checksum is not the map's."""
    whole = hashlib.new(source.algorithm)
    for piece, buffer in pieces:
        one, view = piece.range, memoryview(buffer)[: piece.end - piece.start]
        yield Filled(piece, buffer, hashlib.sha256(view).digest())
        if one.start not in source.sums:
            continue
        if piece.start == one.start:
            whole = hashlib.new(source.algorithm)
        whole.update(view)
        if piece.end == one.end and whole.hexdigest() != source.sums[one.start]:
            raise ConfigError(
                f"{source.path} is damaged: its bytes {one.start:,} to {one.end:,} are not those "
                f"that {source.origin} lists",
                hint=AGAIN,
            )


def _read(source: Source) -> Generator[tuple[Piece, mmap.mmap], None, None]:
    ring = cycle([mmap.mmap(-1, PIECE) for _ in range(_BUFFERS)])
    zeros = mmap.mmap(-1, PIECE)
    try:
        with source.path.open("rb") as file:
            reader = _reader(source, file)
            for piece in source.pieces():
                if piece.range.kind is Kind.ZERO:
                    yield piece, zeros
                    continue
                buffer, length = next(ring), piece.end - piece.start
                reader.fill(piece, memoryview(buffer)[:length])
                buffer[length:] = bytes(PIECE - length)
                yield piece, buffer
            reader.finish()
    except Damaged as error:
        raise ConfigError(f"{source.path} is damaged: {error}", hint=AGAIN) from None
    except OSError as error:
        raise ConfigError(f"{source.path}: {error.strerror}") from None


class _Reader(Protocol):
    def fill(self, piece: Piece, view: memoryview) -> None: ...
    def finish(self) -> None: ...


def _reader(source: Source, file: IO[bytes]) -> _Reader:
    if source.format is None:
        return _Plain(file)
    if source.map.packed is None:
        return _Streamed(compressed.unpacked(file, source.format), source.size)
    return _Members(file, source.format)


class _Plain:
    """An image that is not compressed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file.fileno()

    def fill(self, piece: Piece, view: memoryview) -> None:
        done = 0
        while done < len(view):
            got = os.preadv(self._file, [view[done:]], piece.start + done)
            if not got:
                raise Damaged("it is cut short")
            done += got

    def finish(self) -> None:
        """There is nothing behind its bytes."""


class _Streamed:
    """A compressed image that must be unpacked from front to back."""

    def __init__(self, blocks: Iterator[bytes], size: int) -> None:
        self._blocks, self._size = blocks, size
        self._block = memoryview(b"")  # what has not been taken of the one at hand
        self._at = 0

    def fill(self, piece: Piece, view: memoryview) -> None:
        for _ in self._take(piece.start - self._at):
            pass
        done = 0
        for part in self._take(piece.end - piece.start):
            view[done : done + len(part)] = part
            done += len(part)

    def _take(self, length: int) -> Iterator[memoryview]:
        while length:
            while not self._block:
                block = next(self._blocks, None)
                if block is None:
                    raise Damaged(f"it ends at {self._at:,}, its map at {self._size:,}")
                self._block = memoryview(block)
            part, self._block = self._block[:length], self._block[length:]
            self._at += len(part)
            length -= len(part)
            yield part

    def finish(self) -> None:
        """The format's own checksums stand behind the last byte that is written."""
        end = self._at + len(self._block) + sum(map(len, self._blocks))
        if end != self._size:
            raise Damaged(f"it ends at {end:,}, its map at {self._size:,}")


class _Members:
    """A compressed image of our own, of which the data alone is unpacked."""

    def __init__(self, file: IO[bytes], format: Format) -> None:
        self._file, self._format = file, format
        self._member = _Streamed(iter(()), 0)

    def fill(self, piece: Piece, view: memoryview) -> None:
        one = piece.range
        start = one.start
        if piece.start == start:
            assert one.packed is not None
            self._file.seek(one.packed)
            blocks = compressed.member(self._file, self._format)
            self._member = _Streamed(blocks, one.end - start)
        self._member.fill(Piece(start=piece.start - start, end=piece.end - start, range=one), view)
        if piece.end == one.end:
            self._member.finish()

    def finish(self) -> None:
        """Each member's end has been looked at."""
