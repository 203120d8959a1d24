"""The inodes of an ext4: where their bytes lie, the names and the attributes that they hold."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem import ext4layout as layout
from rootfs_tool.filesystem.imagefile import CHUNK, ImageFile

DEEPEST = 5  # levels of a tree of extents
UNWRITTEN = 1 << 15  # an extent longer than this has that many blocks less, which read as zeros
DIRECT = 12  # blocks that an inode of ext2 names itself


@dataclass(frozen=True, slots=True)
class Inode:
    number: int
    raw: bytes

    @property
    def mode(self) -> int:
        return self.u16(0)

    @property
    def uid(self) -> int:
        return self.u16(0x02) | self.u16(0x78) << 16

    @property
    def gid(self) -> int:
        return self.u16(0x18) | self.u16(0x7A) << 16

    @property
    def size(self) -> int:
        return self.u32(0x04) | self.u32(0x6C) << 32

    @property
    def mtime(self) -> int:
        """In seconds since 1970."""
        seconds = self.u32(0x10)
        seconds -= (seconds & 0x80000000) << 1
        if self.extra >= 12:
            seconds += (self.u32(0x88) & 3) << 32
        return seconds

    @property
    def extra(self) -> int:
        """How many of the bytes behind the first 128 are fields."""
        return self.u16(0x80) if len(self.raw) > 128 else 0

    @property
    def has_extents(self) -> bool:
        return bool(self.u32(0x20) & layout.EXTENTS)

    @property
    def map(self) -> bytes:
        """The root of its map of blocks, or what stands there instead: 60 bytes."""
        return self.raw[0x28:0x64]

    def u16(self, at: int) -> int:
        return int.from_bytes(self.raw[at : at + 2], "little")

    def u32(self, at: int) -> int:
        return int.from_bytes(self.raw[at : at + 4], "little")


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` blocks of a file from its block ``at``, which lie in the image from ``block``."""

    at: int
    block: int
    count: int


class Volume:
    """The blocks and inodes of the ext4 that starts ``offset`` bytes into ``image``.

    Whatever it is asked, it raises ConfigError if the answer can't be right.
    """

    def __init__(self, image: Path, offset: int) -> None:
        self.image = ImageFile(image, offset)
        try:
            self.superblock = layout.superblock(self.image.some(layout.SUPERBLOCK, 1024))
        except ConfigError as error:
            raise ConfigError(f"{image}: {error}") from None
        self.block_size = self.superblock.block_size
        if self.superblock.blocks * self.block_size > self.image.size:
            raise self.damaged("the image ends before the file system does")
        size = self.superblock.descriptor_size
        table = self.image.at(
            (self.superblock.first_block + 1) * self.block_size, self.superblock.groups * size
        )
        self.groups = [layout.group(table[at : at + size]) for at in range(0, len(table), size)]

    def damaged(self, reason: str) -> ConfigError:
        return ConfigError(f"the ext4 in {self.image.path} is damaged: {reason}")

    def block(self, number: int) -> bytes:
        if not 0 < number < self.superblock.blocks:
            raise self.damaged(f"there is no block {number}")
        return self.image.at(number * self.block_size, self.block_size)

    def inode(self, number: int) -> Inode:
        if not 0 < number <= self.superblock.inodes:
            raise self.damaged(f"there is no inode {number}")
        group, index = divmod(number - 1, self.superblock.inodes_per_group)
        at = self.groups[group].inode_table * self.block_size + index * self.superblock.inode_size
        return Inode(number, self.image.at(at, self.superblock.inode_size))

    def runs(self, inode: Inode) -> Iterator[Run]:
        """Where its bytes lie, in order; what is between two runs reads as zeros."""
        end = 0
        found = self._extents(inode.map, DEEPEST) if inode.has_extents else self._mapped(inode)
        left = self.superblock.blocks  # a block is in one place of one file
        for run in found:
            left -= run.count
            if run.at < end or left < 0:
                raise self.damaged(f"inode {inode.number} has a block twice")
            if run.count and not 0 < run.block <= self.superblock.blocks - run.count:
                raise self.damaged(f"inode {inode.number} has blocks that are not there")
            end = run.at + run.count
            yield run

    def content(self, inode: Inode) -> Iterator[bytes]:
        """Its bytes, piece by piece."""
        done, size = 0, inode.size
        for run in self.runs(inode):
            start = min(run.at * self.block_size, size)
            yield from _zeros(start - done)
            done, end = max(done, start), min((run.at + run.count) * self.block_size, size)
            within = done - run.at * self.block_size
            yield from self.image.pieces(run.block * self.block_size + within, end - done)
            done = max(done, end)
        yield from _zeros(size - done)

    def names(self, inode: Inode) -> Iterator[tuple[str, int]]:
        """(name, inode number) of everything in a directory, in the order that it has there.

        An index (Documentation/filesystems/ext4/directory.rst) looks like unused records and is
        passed over as such.
        """
        if inode.size > self.superblock.blocks * self.block_size:
            raise self.damaged(f"the directory {inode.number} is larger than the file system")
        content = b"".join(self.content(inode))
        for block in range(0, len(content), self.block_size):
            at, end = block, block + self.block_size
            while at < end:
                number, length, size = struct.unpack_from("<IHB", content.ljust(at + 8, b"\0"), at)
                # 64 KiB, which sixteen bits can't hold, is a block of that size without a name
                length = length or self.block_size if self.block_size == 1 << 16 else length
                if length < 8 + size or at + length > end:
                    raise self.damaged(f"the directory {inode.number} has a record that can't be")
                if number:
                    yield os.fsdecode(content[at + 8 : at + 8 + size]), number
                at += length

    def xattrs(self, inode: Inode) -> Iterator[tuple[str, bytes]]:
        """(name, value) of each extended attribute."""
        at = 128 + inode.extra
        if inode.extra and inode.u32(at) == layout.XATTR_MAGIC:
            yield from self._xattrs(inode, inode.raw[at + 4 :], first=0)
        block = inode.u32(0x68) | inode.u16(0x76) << 32
        if block:
            raw = self.block(block)
            if int.from_bytes(raw[:4], "little") != layout.XATTR_MAGIC:
                raise self.damaged(f"the attributes of inode {inode.number} are not where it says")
            yield from self._xattrs(inode, raw, first=32)

    def _xattrs(self, inode: Inode, raw: bytes, *, first: int) -> Iterator[tuple[str, bytes]]:
        at = first
        while raw[at : at + 4].strip(b"\0"):
            if at + 16 > len(raw):
                break
            length, index, start, elsewhere, size = struct.unpack_from("<BBHII", raw, at)
            name = raw[at + 16 : at + 16 + length]
            if elsewhere or index not in layout.XATTR_PREFIXES or start + size > len(raw):
                raise self.damaged(f"inode {inode.number} has an attribute that can't be")
            prefix = layout.XATTR_PREFIXES[index]
            yield prefix + os.fsdecode(name), raw[start : start + size]
            at += 16 + -(-length // 4) * 4

    def _extents(self, node: bytes, deepest: int) -> Iterator[Run]:
        magic, entries, _, depth = struct.unpack_from("<HHHH", node)
        if magic != layout.EXTENT_MAGIC or depth > deepest or entries > len(node) // 12 - 1:
            raise self.damaged("a tree of extents makes no sense")
        for at in range(12, 12 + 12 * entries, 12):
            if depth:
                _, low, high = struct.unpack_from("<IIH", node, at)
                yield from self._extents(self.block(low | high << 32), depth - 1)
                continue
            first, count, high, low = struct.unpack_from("<IHHI", node, at)
            if count <= UNWRITTEN:
                yield Run(first, low | high << 32, count)

    def _mapped(self, inode: Inode) -> Iterator[Run]:
        """The map of ext2: direct blocks, then blocks of block numbers, up to three levels deep."""
        pointers = struct.unpack_from("<15I", inode.map)
        per_block, at, blocks = self.block_size // 4, 0, -(-inode.size // self.block_size)
        last: Run | None = None
        for slot, pointer in enumerate(pointers):
            level = max(slot - DIRECT + 1, 0)
            if at < blocks:
                for run in self._pointed(pointer, level, at, blocks):
                    if last and (last.at + last.count, last.block + last.count) == (
                        run.at,
                        run.block,
                    ):
                        last = Run(last.at, last.block, last.count + 1)
                        continue
                    if last:
                        yield last
                    last = run
            at += per_block**level
        if last:
            yield last

    def _pointed(self, pointer: int, level: int, at: int, end: int) -> Iterator[Run]:
        if not pointer:
            return
        if not level:
            yield Run(at, pointer, 1)
            return
        below = (self.block_size // 4) ** (level - 1)
        for index, one in enumerate(
            struct.unpack(f"<{self.block_size // 4}I", self.block(pointer))
        ):
            if one and at + index * below < end:
                yield from self._pointed(one, level - 1, at + index * below, end)


def _zeros(length: int) -> Iterator[bytes]:
    for at in range(0, length, CHUNK):
        yield bytes(min(CHUNK, length - at))
