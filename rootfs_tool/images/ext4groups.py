"""What counts the blocks and inodes of an ext4: bitmaps, group descriptors, superblocks."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rootfs_tool.filesystem import ext4layout as layout
from rootfs_tool.filesystem.ext4inode import Volume
from rootfs_tool.filesystem.ext4layout import Group, Superblock, crc32c

Pieces = Iterator[tuple[int, bytes]]  # (bytes from the start of the file system, what to write)


def tables(volume: Volume, records: Mapping[int, bytes]) -> Pieces:
    """The inode tables, as far as they are used; ``records`` has each inode from 1 on."""
    superblock = volume.superblock
    for number, group in enumerate(volume.groups):
        first = number * superblock.inodes_per_group + 1
        last = min(first + superblock.inodes_per_group, len(records) + 1)
        if first < last:
            at = group.inode_table * superblock.block_size
            yield at, b"".join(records[inode] for inode in range(first, last))


def counted(
    volume: Volume, bitmaps: Sequence[int], inodes: int, directories: Sequence[int], epoch: int
) -> Pieces:
    """All that says how full it is.

    ``bitmaps`` are the groups' of blocks; the first ``inodes`` inodes are used, and those in
    ``directories`` are directories. ``epoch``, in seconds since 1970, is when it was made.
    """
    superblock = volume.superblock
    untouched = layout.untouched(superblock, volume.groups)
    holding = Counter((number - 1) // superblock.inodes_per_group for number in directories)
    descriptors = b""
    for number, group in enumerate(volume.groups):
        group.directories = holding[number]
        used = min(
            max(inodes - number * superblock.inodes_per_group, 0), superblock.inodes_per_group
        )
        group.free_inodes = superblock.inodes_per_group - used
        group.unused_inodes = group.free_inodes
        blocks = b""
        if not (group.flags & layout.BLOCK_UNINIT and bitmaps[number] == untouched[number]):
            group.flags &= ~layout.BLOCK_UNINIT
            blocks = _block_bitmap(superblock, number, group, bitmaps[number])
            yield group.block_bitmap * superblock.block_size, blocks
        names = b""
        if used:
            group.flags &= ~layout.INODE_UNINIT
            names = _bitmap(superblock, superblock.inodes_per_group, (1 << used) - 1)
            yield group.inode_bitmap * superblock.block_size, names
        descriptors += _descriptor(superblock, number, group, blocks, names)
    free = sum(group.free_blocks for group in volume.groups)
    raw = _superblock(volume.image.at(layout.SUPERBLOCK, 1024), free, inodes, epoch)
    for number in filter(superblock.has_superblock, range(superblock.groups)):
        start = superblock.start(number) * superblock.block_size
        yield start or layout.SUPERBLOCK, _sealed(raw, number)
        yield start + superblock.block_size, descriptors


def _block_bitmap(superblock: Superblock, number: int, group: Group, bits: int) -> bytes:
    length = superblock.length(number)
    group.free_blocks = length - (bits & (1 << length) - 1).bit_count()
    return _bitmap(superblock, length, bits)


def _bitmap(superblock: Superblock, length: int, bits: int) -> bytes:
    """A block of bits, of which those from ``length`` on are set: they stand for nothing."""
    every = superblock.block_size * 8
    return (bits | (1 << every) - (1 << length)).to_bytes(superblock.block_size, "little")


def _descriptor(
    superblock: Superblock, number: int, group: Group, blocks: bytes, names: bytes
) -> bytes:
    """The 64 bytes of a group; a bitmap that is empty here has never been written."""
    of_blocks = crc32c(blocks[: superblock.blocks_per_group // 8], superblock.seed) if blocks else 0
    of_names = crc32c(names[: superblock.inodes_per_group // 8], superblock.seed) if names else 0
    counts = (group.free_blocks, group.free_inodes, group.directories)
    places = (group.block_bitmap, group.inode_bitmap, group.inode_table)
    raw = bytearray(64)
    struct.pack_into("<IIIHHH", raw, 0x00, *_low(places, 32), *_low(counts, 16))
    struct.pack_into("<IIIHHH", raw, 0x20, *_high(places, 32), *_high(counts, 16))
    rest = (of_blocks, of_names, group.unused_inodes)
    struct.pack_into("<HIHHH", raw, 0x12, group.flags, 0, *_low(rest, 16))
    struct.pack_into("<HIHH", raw, 0x32, rest[2] >> 16, 0, *_high(rest[:2], 16))
    checksum = crc32c(bytes(raw), crc32c(struct.pack("<I", number), superblock.seed))
    struct.pack_into("<H", raw, 0x1E, checksum & 0xFFFF)
    return bytes(raw)


def _low(numbers: Sequence[int], bits: int) -> list[int]:
    return [number & (1 << bits) - 1 for number in numbers]


def _high(numbers: Sequence[int], bits: int) -> list[int]:
    return [number >> bits for number in numbers]


def _superblock(raw: bytes, free: int, inodes: int, epoch: int) -> bytearray:
    """The superblock without its checksum, and without a trace of who made it, when and where."""
    made = bytearray(raw)
    struct.pack_into("<I", made, 0x0C, free & 0xFFFFFFFF)
    struct.pack_into("<I", made, 0x158, free >> 32)
    struct.pack_into("<I", made, 0x10, struct.unpack_from("<I", raw)[0] - inodes)
    for at in (0x30, 0x40, 0x108):  # written, checked, made
        struct.pack_into("<I", made, at, epoch & 0xFFFFFFFF)
    for at in (0x274, 0x276, 0x277):  # the same, what more than 32 bits of it
        made[at] = epoch >> 32
    struct.pack_into("<I", made, 0x160, 1)  # hashes of names take a char as signed, on any host
    struct.pack_into("<Q", made, 0x178, 0)  # what has been written to it in its life
    return made


def _sealed(raw: bytearray, number: int) -> bytes:
    """The superblock, or the copy of it, that a group starts with."""
    made = bytearray(raw)
    struct.pack_into("<H", made, 0x5A, number)
    struct.pack_into("<I", made, 0x3FC, crc32c(bytes(made[:0x3FC])))
    return bytes(made)
