"""FAT12, FAT16 and FAT32 with long names, read where they lie in an image."""

from __future__ import annotations

import itertools
import re
import stat
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry, Filesystem
from rootfs_tool.filesystem.imagefile import ImageFile

RECORD = 32  # bytes of an entry in a directory
LARGEST_DIRECTORY = 65536 * RECORD

# Attributes, and the two flags by which Windows NT tells that a short name is in lower case.
READ_ONLY, LABEL, DIRECTORY, LONG = 0x01, 0x08, 0x10, 0x0F
LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where things lie, in bytes from the file system's start; ``cluster`` is a cluster's size.

    ``root`` is the root directory's first cluster, 0 if it is the fixed one of FAT12 and FAT16.
    """

    bits: int
    cluster: int
    clusters: int
    fat: int
    fat_size: int
    fixed_root: int
    fixed_root_size: int
    data: int
    root: int


class Fat(Filesystem):
    """The file system that begins at byte ``offset`` of the file ``image``.

    As "Microsoft FAT Specification" (2005) has it. Modes are those that Linux gives with a umask
    of 022; times are taken for UTC. Raises ConfigError if there is no FAT file system.
    """

    kind = "vfat"

    def __init__(self, image: Path, offset: int = 0) -> None:
        self._file = ImageFile(image, offset)
        boot = self._file.at(0, 512)
        self.geometry = self._geometry(boot)
        self.label = self._label(boot)

    def entries(self) -> Iterator[Entry]:
        yield Entry(path=PurePosixPath("/"), mode=stat.S_IFDIR | 0o755)
        geometry = self.geometry
        if geometry.root:
            chain = self._chain(geometry.root)
        else:
            chain = ((geometry.fixed_root, geometry.fixed_root_size),)
        yield from self._below(PurePosixPath("/"), chain, {geometry.root})

    def read(self, entry: Entry) -> Iterator[bytes]:
        if sum(length for _, length in entry.extents) != entry.size:
            raise self._damage(f"{entry.path} has fewer bytes than its directory says")
        for start, length in entry.extents:
            yield from self._file.pieces(start - self._file.offset, length)

    def used(self) -> Iterator[tuple[int, int]]:
        """What the file system reads before it writes it, as (start, end) in the image file.

        That is everything before the clusters, each whole FAT too, and each cluster that is taken.
        """
        geometry = self.geometry
        yield self._file.offset, self._file.offset + geometry.data
        taken = bytes(map(bool, self._fat[: geometry.clusters + 2]))
        for run in re.finditer(b"\x01+", taken[2:]):
            start = self._file.offset + geometry.data + run.start() * geometry.cluster
            yield start, start + (run.end() - run.start()) * geometry.cluster

    def _damage(self, what: str) -> ConfigError:
        return ConfigError(
            f"{self._file.path}: the FAT file system at byte {self._file.offset}: {what}"
        )

    def _geometry(self, boot: bytes) -> Geometry:
        sector, per_cluster, reserved, fats, roots, small, fat16 = struct.unpack(
            "<HBHBHHxH", boot[11:24]
        )
        large, fat32, root = struct.unpack("<I I 4x I", boot[32:48])
        total, fat = small or large, fat16 or fat32
        powers = {1 << n for n in range(13)}
        if boot[510:] != b"\x55\xaa" or sector not in powers or per_cluster not in powers:
            raise self._damage("there is none")
        fixed = -(-roots * RECORD // sector)
        data = reserved + fats * fat + fixed
        clusters = (total - data) // per_cluster
        if sector < 512 or not reserved or not fats or not fat or clusters < 1:
            raise self._damage("its boot sector makes no sense")
        bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
        if fat * sector * 8 < (clusters + 2) * bits or (bits == 32) != (fat16 == 0):
            raise self._damage(f"its FAT is not that of {clusters} clusters")
        return Geometry(
            bits=bits,
            cluster=per_cluster * sector,
            clusters=clusters,
            fat=reserved * sector,
            fat_size=fat * sector,
            fixed_root=(reserved + fats * fat) * sector,
            fixed_root_size=fixed * sector,
            data=data * sector,
            root=root if bits == 32 else 0,
        )

    def _label(self, boot: bytes) -> str:
        geometry = self.geometry
        first = self._cluster(geometry.root) if geometry.root else geometry.fixed_root
        size = geometry.cluster if geometry.root else geometry.fixed_root_size
        for record in _records(self._file.at(first, size)):
            if record[11] & 0x3F == LABEL:
                return _text(record[:11])
        said = boot[71:82] if geometry.bits == 32 else boot[43:54]
        return "" if said == b"NO NAME    " else _text(said)

    @cached_property
    def _fat(self) -> array[int]:
        """The next cluster of each, 0 for one that is free; what is damaged counts as free."""
        geometry = self.geometry
        raw = self._file.at(geometry.fat, geometry.fat_size)
        if geometry.bits == 12:
            twelve = bytearray(raw[: len(raw) // 3 * 3])
            pairs = zip(twelve[0::3], twelve[1::3], twelve[2::3], strict=True)
            numbers = (((b & 15) << 8 | a, c << 4 | b >> 4) for a, b, c in pairs)
            values = array("I", itertools.chain.from_iterable(numbers))
        else:
            step, form = (2, "H") if geometry.bits == 16 else (4, "I")
            values = array("I", struct.unpack(f"<{len(raw) // step}{form}", raw))
        mask = (1 << min(geometry.bits, 28)) - 1
        bad = mask & ~0x8
        return array("I", [0 if value & mask == bad else value & mask for value in values])

    def _cluster(self, number: int) -> int:
        """Where a cluster begins, in bytes from the file system's start."""
        if not 2 <= number < self.geometry.clusters + 2:
            raise self._damage(f"it has no cluster {number}")
        return self.geometry.data + (number - 2) * self.geometry.cluster

    def _chain(self, first: int) -> tuple[tuple[int, int], ...]:
        """The extents of a chain, as (offset from the file system's start, length)."""
        end = (1 << min(self.geometry.bits, 28)) - 8
        step = self.geometry.cluster
        found: list[tuple[int, int]] = []
        number = first
        for _ in range(self.geometry.clusters):
            at = self._cluster(number)
            if found and sum(found[-1]) == at:
                found[-1] = (found[-1][0], found[-1][1] + step)
            else:
                found.append((at, step))
            number = self._fat[number]
            if number >= end:
                return tuple(found)
        raise self._damage(f"the chain of cluster {first} does not end")

    def _below(
        self, path: PurePosixPath, chain: tuple[tuple[int, int], ...], seen: set[int]
    ) -> Iterator[Entry]:
        if sum(length for _, length in chain) > LARGEST_DIRECTORY:
            raise self._damage(f"{path} is larger than a directory can be")
        raw = b"".join(self._file.at(at, length) for at, length in chain)
        for name, record in sorted(_named(_records(raw))):
            attributes, time, date, low, size = struct.unpack("<11xB8x2xHHHI", record)
            high = int.from_bytes(record[20:22], "little") if self.geometry.bits == 32 else 0
            first = high << 16 | low
            if attributes & DIRECTORY:
                if first in seen:
                    raise self._damage(f"{path / name} is the same directory as another")
                seen.add(first)
                yield Entry(path=path / name, mode=stat.S_IFDIR | 0o755, mtime=_time(date, time))
                yield from self._below(path / name, self._chain(first), seen)
            else:
                yield Entry(
                    path=path / name,
                    mode=stat.S_IFREG | (0o555 if attributes & READ_ONLY else 0o755),
                    size=size,
                    mtime=_time(date, time),
                    extents=self._cut(self._chain(first) if size else (), size),
                )

    def _cut(self, chain: tuple[tuple[int, int], ...], size: int) -> tuple[tuple[int, int], ...]:
        """The extents of the first ``size`` bytes, in the image file."""
        found = []
        for at, length in chain:
            if size > 0:
                found.append((self._file.offset + at, min(length, size)))
            size -= length
        return tuple(found)


def _records(raw: bytes) -> Iterator[bytes]:
    """The records of a directory that are in use."""
    for at in range(0, len(raw), RECORD):
        if raw[at] == 0:
            return
        if raw[at] != 0xE5:
            yield raw[at : at + RECORD]


def _named(records: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    """Each file's and directory's name and record; a long name goes before the record it is of."""
    parts: dict[int, bytes] = {}
    checksum = -1
    for record in records:
        if record[11] & 0x3F == LONG:
            if record[0] & 0x40:
                parts, checksum = {}, record[13]
            parts[record[0] & 0x3F] = record[1:11] + record[14:26] + record[28:32]
            continue
        if not record[11] & LABEL and record[:11].rstrip() not in (b".", b".."):
            whole = sorted(parts) == list(range(1, len(parts) + 1))
            if parts and whole and checksum == short_checksum(record[:11]):
                units = b"".join(parts[number] for number in sorted(parts))
                yield units.decode("utf-16-le", "replace").split("\0", 1)[0], record
            else:
                yield _short(record), record
        parts = {}


def short_checksum(name: bytes) -> int:
    """What a long name's records hold to tell the short name that they go with."""
    total = 0
    for byte in name:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total


def _short(record: bytes) -> str:
    base, extension = _text(record[:8]), _text(record[8:11])
    base = base.lower() if record[12] & LOWER_BASE else base
    extension = extension.lower() if record[12] & LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def _text(name: bytes) -> str:
    first = b"\xe5" if name[:1] == b"\x05" else name[:1]
    return (first + name[1:]).decode("cp437").rstrip()


def _time(date: int, time: int) -> int:
    """Seconds since 1970; 0 for a date that no calendar has."""
    try:
        return int(
            datetime(
                1980 + (date >> 9),
                date >> 5 & 15,
                date & 31,
                time >> 11,
                time >> 5 & 63,
                (time & 31) * 2,
                tzinfo=UTC,
            ).timestamp()
        )
    except ValueError:
        return 0
