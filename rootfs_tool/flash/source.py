"""What is to be written: an image file, packed or not, and the map that lies beside it."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool import blockmap, compressed, events
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.compressed import Damaged, Format
from rootfs_tool.errors import ConfigError
from rootfs_tool.flash import bmap

PIECE = 1 << 20  # bytes that are read, hashed and written in one go
AGAIN = "get it again, or build it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a range of data or zeros, never across a multiple of PIECE."""

    start: int
    end: int
    range: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """``sums`` are the checksums of the ranges that have one, by where each starts."""

    path: Path
    format: Format | None
    map: BlockMap
    """Everything is data where no map lies beside the image."""
    origin: Path | None
    """The file that the map is from."""
    algorithm: str
    sums: Mapping[int, str]

    @property
    def size(self) -> int:
        """Bytes of the image, unpacked."""
        return self.map.size

    @property
    def data(self) -> int:
        """Bytes that a device gets: data and zeros."""
        return self.map.amount(Kind.DATA, Kind.ZERO)

    def pieces(self) -> Iterator[Piece]:
        """Everything that a device must hold, from front to back."""
        for one in self.map.ranges:
            start = one.start
            while start < one.end and one.kind is not Kind.FREE:
                end = min(start // PIECE * PIECE + PIECE, one.end)
                yield Piece(start=start, end=end, range=one)
                start = end


def find(path: Path) -> Source:
    """The image file at ``path`` with the map beside it: ours before a .bmap.

    An image that is compressed and has no map is unpacked once for its size, so that one that is
    damaged, or too large for a device, is found before a byte is written. Raises ConfigError.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            raise ConfigError(f"{path} is no image file: it is empty or not a regular file")
        format = compressed.format_of(path)
        source = _mapped(path, format) or _whole(path, format)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    packed = source.map.packed
    expected = source.size if format is None else status.st_size if packed is None else packed
    if status.st_size != expected or (format is None and packed is not None):
        raise ConfigError(
            f"{path} has {status.st_size:,} bytes, but {source.origin} is for {expected:,}",
            hint=f"{AGAIN}, or move {source.origin} away if it belongs to another image",
        )
    return source


def _mapped(path: Path, format: Format | None) -> Source | None:
    """The image with the first map that is found, as ours or others name it."""
    names = [path.name]
    if format is not None:
        names.append(path.name.removesuffix(f".{format}"))
    names.append(names[-1].rpartition(".")[0])
    for name in filter(None, names):
        if (ours := path.with_name(name + blockmap.SUFFIX)).exists():
            map = blockmap.load(ours)
            sums = {one.start: one.sha256 for one in map.ranges if one.sha256}
            return Source(
                path=path, format=format, map=map, origin=ours, algorithm="sha256", sums=sums
            )
        if (theirs := path.with_name(name + bmap.SUFFIX)).exists():
            found = bmap.load(theirs)
            return Source(
                path=path,
                format=format,
                map=found.map,
                origin=theirs,
                algorithm=found.algorithm,
                sums=found.sums,
            )
    return None


def _whole(path: Path, format: Format | None) -> Source:
    size = path.stat().st_size if format is None else _measured(path, format)
    map = BlockMap(size=size, ranges=(Range(kind=Kind.DATA, start=0, end=size),))
    return Source(path=path, format=format, map=map, origin=None, algorithm="sha256", sums={})


def _measured(path: Path, format: Format) -> int:
    size = 0
    with events.step(f"check {path.name}"), path.open("rb") as file:
        try:
            for block in compressed.unpacked(file, format):
                size += len(block)
                events.progress(file.tell(), path.stat().st_size)
        except Damaged as error:
            raise ConfigError(f"{path} is damaged: {error}", hint=AGAIN) from None
    if not size:
        raise ConfigError(f"{path} is no image file: there is nothing in it")
    return size
