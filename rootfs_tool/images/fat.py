"""FAT32, written here: every byte is known, and nothing has to be copied twice."""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rootfs_tool import tree as trees
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.fat import DIRECTORY, LABEL, LARGEST_DIRECTORY, RECORD
from rootfs_tool.images import fatdirectory
from rootfs_tool.tree import Directory, File, Node, Tree

SECTOR = 512
MIB = 1 << 20
RESERVED = 32  # sectors before the first FAT, as every formatter has it
# Fewer clusters would be FAT16, and some programs count wrong by up to 16 (the specification says).
FEWEST = 65525 + 16
LARGEST_FILE = (1 << 32) - 1  # bytes
ARCHIVE = 0x20  # the attribute of a file that nothing has backed up
LAST = 0x0FFFFFFF  # the end of a chain of clusters


@dataclass(frozen=True, slots=True)
class Geometry:
    """How ``size`` bytes are divided; ``fat`` is the length of a FAT in sectors.

    FATs and clusters begin at multiples of 4,096 bytes, which is what cards write at least.
    """

    size: int
    per_cluster: int
    fat: int

    @property
    def cluster(self) -> int:
        return self.per_cluster * SECTOR

    @property
    def data(self) -> int:
        """Where the first cluster begins, in bytes."""
        return (RESERVED + 2 * self.fat) * SECTOR

    @property
    def clusters(self) -> int:
        return (self.size - self.data) // self.cluster


def write(
    tree: Tree,
    image: Path,
    *,
    offset: int,
    size: int,
    epoch: int,
    label: str,
    serial: int,
) -> None:
    """Write ``tree`` as a FAT32 of ``size`` bytes at the byte ``offset`` of the file ``image``.

    All of that must read as zeros before. ``epoch`` (seconds since 1970) is kept to two seconds,
    as a UTC between 1980 and 2107; ``serial`` is the volume's id. Permissions are not kept. Raises
    ConfigError if a node can't be in a FAT, or all of them not in this one.
    """
    geometry = _geometry(size)
    records = _children(tree)
    places = _places(tree, records, geometry)
    with image.open("r+b", buffering=0) as file:
        to = file.fileno()
        _write_head(to, offset, geometry, label, serial, list(places.values()))
        stamp = fatdirectory.stamp(epoch)
        for path, names in records.items():
            raw = _directory(path, names, places, stamp, label)
            os.pwrite(to, raw, _position(places[path], geometry, offset))
        for path, node in tree.walk():
            if isinstance(node, File):
                at = _position(places[path], geometry, offset)
                for piece in trees.pieces(node, places[path].size):
                    at += os.pwrite(to, piece, at)


def needed(tree: Tree, *, spare: int = 0) -> int:
    """Bytes, a multiple of 1 MiB, of the smallest FAT32 that holds ``tree``.

    ``spare`` is in percent of what the files take. Raises ConfigError as ``write`` does.
    """
    return _needed(_sizes(tree, _children(tree)).values(), spare)


def _needed(sizes: Collection[int], spare: int = 0) -> int:
    size = max(sum(sizes) * (100 + spare) // 100 // MIB * MIB, MIB)
    while True:
        geometry = _geometry(size)
        taken = sum(_clusters(one, geometry) for one in sizes)
        if geometry.clusters >= FEWEST and taken * (100 + spare) // 100 <= geometry.clusters:
            return size
        size += MIB


def _geometry(size: int) -> Geometry:
    """The largest clusters, up to 4 KiB, of which there are enough for a FAT32.

    With fewer clusters their chains are shorter, which is what firmware follows slowly.
    """
    per_cluster = 16
    while True:
        per_cluster //= 2
        clusters = (size // SECTOR - RESERVED) // per_cluster
        sectors = -(-(clusters + 2) * 4 // SECTOR)
        geometry = Geometry(size, per_cluster, -(-sectors // 8) * 8)
        if geometry.clusters >= FEWEST or per_cluster == 1:
            return geometry


Names = list[tuple[PurePosixPath, bytes, Node]]


def _children(tree: Tree) -> dict[PurePosixPath, Names]:
    """Each directory with what is in it: path, short name and node."""
    found: dict[PurePosixPath, list[tuple[PurePosixPath, Node]]] = {PurePosixPath("/"): []}
    for path, node in tree.walk():
        if not isinstance(node, File | Directory):
            kind = type(node).__name__.lower()
            raise ConfigError(f"{path} is a {kind}, which a FAT can't hold")
        if node.uid or node.gid:
            raise ConfigError(f"{path} belongs to {node.uid}:{node.gid}, but a FAT has no owners")
        if node.xattrs:
            raise ConfigError(f"{path} has {node.xattrs[0][0]}, which a FAT can't hold")
        fatdirectory.check(path)
        if isinstance(node, Directory):
            found.setdefault(path, [])
        if path != path.parent:
            found[path.parent].append((path, node))
    return {
        path: [
            (child, short, node)
            for (child, node), short in zip(
                below, fatdirectory.short_names([child for child, _ in below]), strict=True
            )
        ]
        for path, below in found.items()
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """``count`` clusters from ``first``, none if that is 0, for ``size`` bytes."""

    first: int
    count: int
    size: int


def _sizes(tree: Tree, records: dict[PurePosixPath, Names]) -> dict[PurePosixPath, int]:
    """The bytes of each directory and file, the directories first."""
    sizes = {}
    for path, names in records.items():
        own = 1 if path == path.parent else 2  # the label; or "." and ".."
        count = own + sum(
            1 + fatdirectory.long_count(child.name, short) for child, short, _ in names
        )
        sizes[path] = count * RECORD
        if sizes[path] > LARGEST_DIRECTORY:
            raise ConfigError(f"{path} holds more names than a directory of a FAT can")
    for path, node in tree.walk():
        if isinstance(node, File):
            sizes[path] = trees.size(node)
            if sizes[path] > LARGEST_FILE:
                raise ConfigError(f"{path} is larger than a FAT can hold (4 GiB)")
    return sizes


def _places(
    tree: Tree, records: dict[PurePosixPath, Names], geometry: Geometry
) -> dict[PurePosixPath, _Place]:
    """Where each directory and file goes: one after another, none in pieces."""
    places, free = {}, 2
    sizes = _sizes(tree, records)
    for path, size in sizes.items():
        count = _clusters(size, geometry)
        places[path] = _Place(free if count else 0, count, size)
        free += count
    if free - 2 > geometry.clusters or geometry.clusters < FEWEST:
        least = _needed(sizes.values()) // MIB
        raise ConfigError(f"a FAT of {geometry.size // MIB} MiB is too small: {least} are needed")
    return places


def _clusters(size: int, geometry: Geometry) -> int:
    return -(-size // geometry.cluster)


def _position(place: _Place, geometry: Geometry, offset: int) -> int:
    return offset + geometry.data + (place.first - 2) * geometry.cluster


def _write_head(
    to: int, offset: int, geometry: Geometry, label: str, serial: int, places: list[_Place]
) -> None:
    """The boot sector, its neighbour, their copies, and both FATs."""
    free = sum(place.count for place in places) + 2
    head = _boot_sector(geometry, offset, label, serial) + _counts(geometry, free)
    fat = _fat(places, free)
    os.pwrite(to, head, offset)
    os.pwrite(to, head, offset + 6 * SECTOR)
    for number in range(2):
        os.pwrite(to, fat, offset + (RESERVED + number * geometry.fat) * SECTOR)


def _boot_sector(geometry: Geometry, offset: int, label: str, serial: int) -> bytes:
    """As in 3.1 and 3.3 of "Microsoft FAT Specification" (2005), without code to start."""
    block = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\x58\x90",  # a jump, without which some firmware sees no FAT
        b"MSWIN4.1",  # the name that is least likely to be refused
        SECTOR,
        geometry.per_cluster,
        RESERVED,
        2,  # FATs
        0,
        0,
        0xF8,  # a fixed disk
        0,
        63,  # sectors and heads, of the days when disks had them
        255,
        offset // SECTOR,
        geometry.size // SECTOR,
    )
    block += struct.pack("<IHHIHH12x", geometry.fat, 0, 0, 2, 1, 6)
    block += struct.pack("<BxBI11s8s", 0x80, 0x29, serial, _label(label), b"FAT32   ")
    return block.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _counts(geometry: Geometry, free: int) -> bytes:
    """The FSInfo sector: how many clusters are free, and which is the first."""
    left = geometry.clusters + 2 - free
    last = struct.pack("<4sII", b"rrAa", left, free if left else 0xFFFFFFFF)
    return b"RRaA" + bytes(480) + last + bytes(14) + b"\x55\xaa"


def _fat(places: Iterable[_Place], free: int) -> bytes:
    """The chains: each cluster names the next one."""
    chains = array("I", range(1, free + 1))
    chains[0], chains[1] = 0x0FFFFFF8, LAST  # the media's byte; nothing to repair
    for place in places:
        if place.count:
            chains[place.first + place.count - 1] = LAST
    if sys.byteorder == "big":
        chains.byteswap()
    return chains.tobytes()


def _directory(
    path: PurePosixPath,
    names: Names,
    places: dict[PurePosixPath, _Place],
    stamp: fatdirectory.Stamp,
    label: str,
) -> bytes:
    raw = bytearray()
    if path == path.parent:
        raw += fatdirectory.record(_label(label), LABEL, stamp)
    else:
        above = 0 if path.parent == path.parent.parent else places[path.parent].first
        raw += fatdirectory.record(b".".ljust(11), DIRECTORY, stamp, places[path].first)
        raw += fatdirectory.record(b"..".ljust(11), DIRECTORY, stamp, above)
    for child, short, node in names:
        place = places[child]
        raw += b"".join(fatdirectory.long_records(child.name, short))
        if isinstance(node, Directory):
            raw += fatdirectory.record(short, DIRECTORY, stamp, place.first)
        else:
            raw += fatdirectory.record(short, ARCHIVE, stamp, place.first, place.size)
    return bytes(raw)


def _label(label: str) -> bytes:
    return f"{label:11}".encode("ascii")
