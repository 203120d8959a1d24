"""An initramfs, read as the kernel unpacks it: one archive after another, each compressed or not.

init/initramfs.c and Documentation/driver-api/early-userspace/buffer-format.rst in its sources.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from rootfs_tool.errors import ConfigError
from rootfs_tool.events import note
from rootfs_tool.filesystem import lookup
from rootfs_tool.filesystem.base import Entry, Filesystem
from rootfs_tool.filesystem.decompress import Stream, compression
from rootfs_tool.filesystem.imagefile import CHUNK, ImageFile
from rootfs_tool.printable import printable

HEADER = 110  # bytes before a record's name
MAGICS = (b"070701", b"070702")
TRAILER = b"TRAILER!!!"
PATH_MAX = 4096  # bytes of the longest name, with its end, that the kernel takes
MOST = 8 << 30  # bytes that an archive may unpack to: the RAM of the largest Pi


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What an archive says of a file, from ``at`` to ``end``; the file's bytes are at ``start``.

    ``links`` is how many names the file has; ``file`` is the same for each of them.
    """

    name: bytes
    entry: Entry
    links: int
    file: tuple[int, ...]
    at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Body:
    """Where a file's bytes are."""

    source: ImageFile
    start: int
    size: int

    @property
    def extents(self) -> tuple[tuple[int, int], ...]:
        """As an Entry has them."""
        if self.source.is_unpacked or not self.size:
            return ()
        return ((self.source.offset + self.start, self.size),)


class Cpio(Filesystem):
    """An archive in the newc format. Raises ConfigError if ``image`` can't be read."""

    kind = "cpio"

    def __init__(self, image: Path, offset: int = 0) -> None:
        self._image = ImageFile(image, offset)
        self.compressions: list[str] = []
        """How each archive is compressed, in order; "none" if it is not."""

    def entries(self) -> Iterator[Entry]:
        """What is there once the kernel has unpacked all: of two files of a name the last."""
        nodes, _ = self._unpacked
        for path in sorted(nodes):
            yield nodes[path]

    def read(self, entry: Entry) -> Iterator[bytes]:
        _, bodies = self._unpacked
        if entry.path in bodies:
            body = bodies[entry.path]
            yield from body.source.pieces(body.start, body.size)

    def record_at(self, offset: int) -> str:
        """The name of the record that holds this byte of the file; "" if none does."""
        for source, record in self._records():
            if source is self._image and record.at <= offset - source.offset < record.end:
                return os.fsdecode(record.name)
        return ""

    @cached_property
    def _unpacked(self) -> tuple[dict[PurePosixPath, Entry], dict[PurePosixPath, Body]]:
        unpacking = _Unpacking()
        for source, record in self._records():
            unpacking.take(source, record)
        return unpacking.nodes, unpacking.bodies

    def _records(self) -> Iterator[tuple[ImageFile, Record]]:
        """Every record, with the end marks, and the file that it is in."""
        self.compressions.clear()
        image, at = self._image, 0
        while at < image.size:
            start = image.some(at, 8)
            if start[:1] == b"\0":
                at = _past_zeros(image, at)
            elif start[:1] == b"0":
                self.compressions.append("none")
                at = yield from _archive(image, at)
            else:
                at = yield from self._compressed(at)

    def _compressed(self, at: int) -> Generator[tuple[ImageFile, Record], None, int]:
        how = compression(self._image.some(at, 8))
        if how is None:
            raise ConfigError(f"{self._image.path}: byte {at} begins no archive")
        self.compressions.append(how)
        stream = Stream(self._image, at, how)
        source = ImageFile.unpacked(self._image.path, stream, most=MOST)
        inside = 0
        while inside < source.size:
            if source.some(inside, 1) == b"\0":
                inside = _past_zeros(source, inside)
            else:
                inside = yield from _archive(source, inside)
        return stream.end


class _Unpacking:
    """What the kernel has made so far of the records that it was given."""

    def __init__(self) -> None:
        self.nodes = {lookup.ROOT: Entry(path=lookup.ROOT, mode=stat.S_IFDIR | 0o755)}
        self.bodies: dict[PurePosixPath, Body] = {}
        # The names of each file that has several, until the archive ends.
        self._links: dict[tuple[int, ...], list[PurePosixPath]] = {}
        self._inode = 0

    def take(self, source: ImageFile, record: Record) -> None:
        if record.name == TRAILER:
            self._links.clear()
            return
        named = PurePosixPath("/", os.fsdecode(record.name))
        path = lookup.resolve(self.nodes, named, follow=False)
        if not self._makes(path, record.entry):
            note(f"{printable(str(named))}: the kernel can't unpack it there, and leaves it out")
            return
        self.bodies.pop(path, None)
        self.nodes[path] = replace(record.entry, path=path)
        if stat.S_ISREG(record.entry.mode):
            self._file(source, record, path)

    def _makes(self, path: PurePosixPath, entry: Entry) -> bool:
        """Whether the kernel can: it makes no parents, and removes only empty directories."""
        if path == lookup.ROOT:
            return entry.is_directory
        if path.parent not in self.nodes or not self.nodes[path.parent].is_directory:
            return False
        there = self.nodes.get(path)
        if there is None or not there.is_directory or entry.is_directory:
            return True
        return not any(one.parent == path for one in self.nodes)

    def _file(self, source: ImageFile, record: Record, path: PurePosixPath) -> None:
        names = [path]
        if record.links > 1:
            names = self._links.setdefault(record.file, [])
            names.append(path)
            self._inode += len(names) == 1
        size = record.entry.size
        body = Body(source, record.start, size)
        if not size and len(names) > 1:  # the bytes came with another of its names
            body = self.bodies.get(names[0], body)
        entry = replace(
            record.entry,
            size=body.size,
            inode=self._inode if record.links > 1 else 0,
            extents=body.extents,
        )
        for one in names:
            self.nodes[one] = replace(entry, path=one)
            self.bodies[one] = body


def _archive(source: ImageFile, at: int) -> Generator[tuple[ImageFile, Record], None, int]:
    """The records from ``at`` to the end mark, or to the file's end; returns where that is."""
    while at < source.size:
        record = _record(source, at)
        if record.end > source.size:
            raise ConfigError(f"{source.path} is cut short in {os.fsdecode(record.name)}")
        yield source, record
        at = record.end
        if record.name == TRAILER:
            break
    return at


def _record(source: ImageFile, at: int) -> Record:
    header = source.at(at, HEADER)
    if at % 4 or header[:6] not in MAGICS:
        raise ConfigError(f"{source.path} is damaged: no record begins at byte {at}")
    try:
        fields = [int(header[n : n + 8], 16) for n in range(6, HEADER, 8)]
    except ValueError:
        raise ConfigError(f"{source.path} is damaged: the record at byte {at} is none") from None
    inode, mode, uid, gid, links, mtime, size, *device, major, minor, length, _ = fields
    if not 0 < length <= PATH_MAX:
        raise ConfigError(f"{source.path} is damaged: a name of {length} bytes at byte {at}")
    name = source.at(at + HEADER, length).partition(b"\0")[0]
    start = _padded(at + HEADER + length)
    link = stat.S_ISLNK(mode)
    if link and size > PATH_MAX:
        raise ConfigError(f"{source.path} is damaged: a link of {size} bytes at byte {at}")
    entry = Entry(
        path=PurePosixPath("/", os.fsdecode(name)),
        mode=mode,
        uid=uid,
        gid=gid,
        size=size if link or stat.S_ISREG(mode) else 0,
        mtime=mtime,
        to=os.fsdecode(source.at(start, size).partition(b"\0")[0]) if link else "",
        major=major,
        minor=minor,
    )
    end = _padded(start + size)
    return Record(
        name=name, entry=entry, links=links, file=(inode, *device), at=at, start=start, end=end
    )


def _past_zeros(source: ImageFile, at: int) -> int:
    """Where the zeros end that begin at ``at``."""
    while data := source.some(at, CHUNK):
        rest = data.lstrip(b"\0")
        at += len(data) - len(rest)
        if rest:
            break
    return at


def _padded(length: int) -> int:
    return -(-length // 4) * 4
