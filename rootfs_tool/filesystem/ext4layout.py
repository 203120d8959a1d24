"""What lies where in an ext4 file system: superblock, block groups, bitmaps, checksums.

Documentation/filesystems/ext4/ in the kernel's sources; every number is little-endian.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from rootfs_tool.errors import ConfigError

SUPERBLOCK = 1024  # bytes from the start of the file system, and as many long
MAGIC = 0xEF53
CHECKSUM_SEED = 0x2000  # incompatible feature: the seed stands in the superblock
WIDE = 0x80  # incompatible feature "64bit": block numbers of 48 bits, longer descriptors
SPARSE = 0x1  # read-only feature: few groups have a copy of the superblock
CHECKSUMS = 0x10 | 0x400  # read-only features: a descriptor's flags can be trusted
INODE_UNINIT, BLOCK_UNINIT, INODE_ZEROED = 1, 2, 4  # flags of a group's descriptor
# Incompatible features that change nothing for a reader; a journal is not replayed.
READABLE = 0x2 | 0x4 | 0x40 | WIDE | 0x100 | 0x200 | CHECKSUM_SEED | 0x4000 | 0x20000
UNREADABLE = 0x200  # read-only feature "bigalloc": a bit of the bitmap is not a block
SPARSE2 = 0x200  # compatible feature: other groups have the copies

# An extended attribute's name starts with one of these, by the number that stands for it.
XATTR_PREFIXES = {
    0: "",
    1: "user.",
    2: "system.posix_acl_access",
    3: "system.posix_acl_default",
    4: "trusted.",
    6: "security.",
    7: "system.",
    8: "system.richacl",
}
XATTR_MAGIC = 0xEA020000
FEW = 512  # bytes of zeros that a checksum takes one by one as fast as all at once
EXTENT_MAGIC = 0xF30A
EXTENTS = 0x80000  # an inode's flag: its map is a tree of extents


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """Sizes in bytes, everything else a count; ``first_block`` is the one that it lies in."""

    block_size: int
    blocks: int
    inodes: int
    first_block: int
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    descriptor_size: int
    reserved_descriptor_blocks: int
    compatible: int
    incompatible: int
    read_only: int
    seed: int
    label: bytes

    @property
    def groups(self) -> int:
        return -(-(self.blocks - self.first_block) // self.blocks_per_group)

    @property
    def descriptor_blocks(self) -> int:
        return -(-self.groups * self.descriptor_size // self.block_size)

    def start(self, group: int) -> int:
        """The first block of a group."""
        return self.first_block + group * self.blocks_per_group

    def length(self, group: int) -> int:
        """How many blocks a group has."""
        return min(self.blocks_per_group, self.blocks - self.start(group))

    def has_superblock(self, group: int) -> bool:
        """Whether a copy of superblock and descriptors starts the group."""
        if not self.read_only & SPARSE or group < 2:
            return True
        return any(_power(group, base) for base in (3, 5, 7))


@dataclass(slots=True)
class Group:
    """A group's descriptor; the numbers are blocks, but for the counts of inodes."""

    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    free_blocks: int
    free_inodes: int
    directories: int
    flags: int
    unused_inodes: int


def superblock(raw: bytes) -> Superblock:
    """Raises ConfigError if this is no superblock, or one of an ext4 that can't be read."""
    if len(raw) < 1024 or _u16(raw, 0x38) != MAGIC:
        raise ConfigError("no ext4 lies there")
    incompatible, read_only = _u32(raw, 0x60), _u32(raw, 0x64)
    unknown = incompatible & ~READABLE or read_only & UNREADABLE
    if unknown or _u32(raw, 0x5C) & SPARSE2:
        raise ConfigError(f"the ext4 has features that can't be read (0x{unknown:x})")
    wide = incompatible & WIDE
    old = _u32(raw, 0x4C) == 0  # revision 0 had inodes of 128 bytes and no field that says so
    seed = _u32(raw, 0x270) if incompatible & CHECKSUM_SEED else crc32c(raw[0x68:0x78])
    found = Superblock(
        block_size=1024 << min(_u32(raw, 0x18), 7),
        blocks=_u32(raw, 0x04) | (_u32(raw, 0x150) << 32 if wide else 0),
        inodes=_u32(raw, 0x00),
        first_block=_u32(raw, 0x14),
        blocks_per_group=_u32(raw, 0x20),
        inodes_per_group=_u32(raw, 0x28),
        inode_size=128 if old else _u16(raw, 0x58),
        descriptor_size=_u16(raw, 0xFE) if wide else 32,
        reserved_descriptor_blocks=_u16(raw, 0xCE),
        compatible=_u32(raw, 0x5C),
        incompatible=incompatible,
        read_only=read_only,
        seed=seed,
        label=raw[0x78:0x88].rstrip(b"\0"),
    )
    _check(found)
    return found


def _check(found: Superblock) -> None:
    bits = found.block_size * 8
    right = (
        found.block_size <= 1 << 16
        and found.first_block == (1 if found.block_size == 1024 else 0)
        and 8 <= found.blocks_per_group <= bits
        and 8 <= found.inodes_per_group <= bits
        and found.first_block < found.blocks < 1 << 48
        and found.inodes == found.groups * found.inodes_per_group
        and found.inode_size in (128, 256, 512, 1024, 2048, 4096)
        and found.inode_size <= found.block_size
        and found.descriptor_size in ((64,) if found.incompatible & WIDE else (32,))
    )
    if not right:
        raise ConfigError("the superblock of the ext4 is damaged: its sizes contradict each other")


def group(raw: bytes) -> Group:
    """A descriptor of 32 or 64 bytes."""
    low = struct.unpack_from("<IIIHHHH", raw)
    high = struct.unpack_from("<IIIHHHH", raw.ljust(64, b"\0"), 0x20)
    return Group(
        block_bitmap=low[0] | high[0] << 32,
        inode_bitmap=low[1] | high[1] << 32,
        inode_table=low[2] | high[2] << 32,
        free_blocks=low[3] | high[3] << 16,
        free_inodes=low[4] | high[4] << 16,
        directories=low[5] | high[5] << 16,
        flags=low[6],
        unused_inodes=_u16(raw, 0x1C) | high[6] << 16,
    )


def untouched(layout: Superblock, groups: Sequence[Group]) -> list[int]:
    """Each group's block bitmap when it holds no file: only what makes the file system.

    Bit 0 is the group's first block. This is the bitmap of a group whose own was never written.
    """
    copies = 1 + layout.descriptor_blocks + layout.reserved_descriptor_blocks
    table = -(-layout.inodes_per_group * layout.inode_size // layout.block_size)
    found = [_ones(0, copies) if layout.has_superblock(n) else 0 for n in range(len(groups))]
    for one in groups:
        mark(layout, found, one.block_bitmap, 1)
        mark(layout, found, one.inode_bitmap, 1)
        mark(layout, found, one.inode_table, table)
    return [bits & _ones(0, layout.length(number)) for number, bits in enumerate(found)]


def mark(
    layout: Superblock, bitmaps: list[int], block: int, count: int, *, used: bool = True
) -> None:
    """Mark blocks as used, or as free, in the bitmaps of their groups."""
    number, start = divmod(block - layout.first_block, layout.blocks_per_group)
    while count > 0 and 0 <= number < len(bitmaps):
        here = min(count, layout.blocks_per_group - start)
        if used:
            bitmaps[number] |= _ones(start, start + here)
        else:
            bitmaps[number] &= ~_ones(start, start + here)
        number, start, count = number + 1, 0, count - here


def runs(bits: int, length: int, *, of: bool) -> Iterator[tuple[int, int]]:
    """(start, end) of each row of set, or of clear, bits among the first ``length``."""
    text = f"{bits & _ones(0, length):0{length}b}"[::-1]
    for found in re.finditer("1+" if of else "0+", text):
        yield found.span()


def merged(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same ranges, sorted already, in as few as can be."""
    last: tuple[int, int] | None = None
    for start, end in ranges:
        if last is not None and start <= last[1]:
            last = (last[0], max(end, last[1]))
            continue
        if last is not None:
            yield last
        last = (start, end)
    if last is not None:
        yield last


def crc32c(data: bytes, value: int = 0xFFFFFFFF) -> int:
    """CRC-32C (RFC 3720, appendix B.4) as ext4 has it: not inverted at its end."""
    table, bare = _table(), data.rstrip(b"\0")
    zeros = len(data) - len(bare)
    if zeros < FEW:
        bare, zeros = data, 0
    for byte in bare:
        value = table[(value ^ byte) & 255] ^ (value >> 8)
    for power in range(zeros.bit_length()):
        if zeros >> power & 1:
            value = _times(_zeros(power), value)
    return value


@cache
def _table() -> list[int]:
    found = list(range(256))
    for _ in range(8):
        found = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in found]
    return found


@cache
def _zeros(power: int) -> list[int]:
    """What 2**power bytes of zeros make of each bit of a checksum: a matrix over GF(2)."""
    if power:
        return [_times(_zeros(power - 1), column) for column in _zeros(power - 1)]
    return [_table()[1 << bit & 255] ^ (1 << bit >> 8) for bit in range(32)]


def _times(matrix: list[int], value: int) -> int:
    found = 0
    while value:
        low = value & -value
        found ^= matrix[low.bit_length() - 1]
        value ^= low
    return found


def _power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def _ones(start: int, end: int) -> int:
    return (1 << end) - (1 << start) if start < end else 0


def _u16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _u32(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")
