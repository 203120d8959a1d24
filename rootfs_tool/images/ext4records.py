"""The records of an ext4 as bytes: inodes, maps of extents, directories, extended attributes.

Documentation/filesystems/ext4/ in the kernel's sources; every number is little-endian.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem import ext4layout as layout
from rootfs_tool.filesystem.ext4layout import crc32c
from rootfs_tool.tree import Xattrs

BLOCK = 4096  # bytes: every program's page, and twice as fast to fill as 1,024
INODE = 256  # bytes
TAIL = 12  # bytes at the end of a directory's block, for its checksum
LONGEST_NAME = 255  # bytes
MOST_LINKS = 65_000  # a directory with more subdirectories says 1 (dir_nlink)
LONGEST_RUN = 1 << 15  # blocks of one extent
INLINE_EXTENTS = 4
EXTENTS_PER_BLOCK = 340

Runs = Sequence[tuple[int, int]]  # (first block, count)

_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFLNK: 7}
_EXTRA = 32  # bytes of fields behind the first 128 of an inode
_INLINE = 128 + _EXTRA  # where the attributes in an inode start


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """``map`` is 60 bytes; ``blocks`` counts all that it has; ``xattrs`` as xattrs_inline gives."""

    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    links: int = 1
    blocks: int = 0
    map: bytes
    is_mapped: bool = True
    xattrs: bytes = b""
    xattr_block: int = 0

    def packed(self, number: int, epoch: int, seed: int) -> bytes:
        """The record with its checksum; every time in it is ``epoch``, in seconds since 1970."""
        raw = bytearray(INODE)
        struct.pack_into("<HHI", raw, 0x00, self.mode, self.uid & 0xFFFF, self.size & 0xFFFFFFFF)
        links = self.links if self.links < MOST_LINKS else 1
        struct.pack_into("<HHI", raw, 0x18, self.gid & 0xFFFF, links, self.blocks * (BLOCK // 512))
        struct.pack_into("<I", raw, 0x20, layout.EXTENTS if self.is_mapped else 0)
        raw[0x28:0x64] = self.map.ljust(60, b"\0")
        struct.pack_into("<II", raw, 0x68, self.xattr_block & 0xFFFFFFFF, self.size >> 32)
        struct.pack_into("<HHH", raw, 0x76, self.xattr_block >> 32, self.uid >> 16, self.gid >> 16)
        raw[_INLINE : _INLINE + len(self.xattrs)] = self.xattrs
        return sealed(raw, number, epoch, seed)


def sealed(raw: bytearray, number: int, epoch: int, seed: int) -> bytes:
    """An inode's record after its times are set to ``epoch`` and its checksum is right."""
    # Seconds are signed 32 bits; two more bits count how often those have run over.
    over = (epoch + (1 << 31)) >> 32
    struct.pack_into("<III", raw, 0x08, *[epoch & 0xFFFFFFFF] * 3)
    struct.pack_into("<III", raw, 0x84, over, over, over)
    struct.pack_into("<H", raw, 0x80, _EXTRA)
    struct.pack_into("<II", raw, 0x90, epoch & 0xFFFFFFFF, over)
    struct.pack_into("<H", raw, 0x7C, 0)
    struct.pack_into("<H", raw, 0x82, 0)
    checksum = crc32c(bytes(raw), inode_seed(number, seed))
    struct.pack_into("<H", raw, 0x7C, checksum & 0xFFFF)
    struct.pack_into("<H", raw, 0x82, checksum >> 16)
    return bytes(raw)


def inode_seed(number: int, seed: int) -> int:
    """What the checksums of all that belongs to an inode start from."""
    return crc32c(struct.pack("<II", number, 0), seed)


def device(major: int, minor: int) -> bytes:
    """What stands in a device's inode where a file has its map."""
    if major < 256 and minor < 256:
        return struct.pack("<I", major << 8 | minor)
    return struct.pack("<II", 0, minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


def extents(runs: Runs) -> bytes:
    """The map of a file in few pieces, for its inode."""
    return _node(_leaves(runs, 0), INLINE_EXTENTS, depth=0)


def extent_blocks(runs: Runs, blocks: Sequence[int], number: int, seed: int) -> list[bytes]:
    """The map of a file in many pieces: first what its inode holds, then each of ``blocks``."""
    index, found, at = [], [], 0
    for place, block in enumerate(blocks):
        part = runs[place * EXTENTS_PER_BLOCK : (place + 1) * EXTENTS_PER_BLOCK]
        index.append(struct.pack("<IIHH", at, block & 0xFFFFFFFF, block >> 32, 0))
        node = _node(_leaves(part, at), EXTENTS_PER_BLOCK, depth=0)
        at += sum(count for _, count in part)
        found.append(node + struct.pack("<I", crc32c(node, inode_seed(number, seed))))
    return [_node(index, INLINE_EXTENTS, depth=1), *found]


def _leaves(runs: Runs, at: int) -> list[bytes]:
    found = []
    for block, count in runs:
        found.append(struct.pack("<IHHI", at, count, block >> 32, block & 0xFFFFFFFF))
        at += count
    return found


def _node(records: Sequence[bytes], most: int, *, depth: int) -> bytes:
    header = struct.pack("<HHHHI", layout.EXTENT_MAGIC, len(records), most, depth, 0)
    return (header + b"".join(records)).ljust(12 + 12 * most, b"\0")


def directory(names: Iterable[tuple[bytes, int, int]]) -> list[bytes]:
    """The blocks of a directory, not yet sealed, from (name, inode number, st_mode) of each."""
    blocks, block, last = [], bytearray(), 0
    for name, number, mode in names:
        length = 8 + -(-len(name) // 4) * 4
        if len(block) + length > BLOCK - TAIL:
            blocks.append(_filled(block, last))
            block = bytearray()
        last = len(block)
        kind = _TYPES[stat.S_IFMT(mode)]
        block += struct.pack("<IHBB", number, length, len(name), kind) + name
        block += bytes(last + length - len(block))
    return [*blocks, _filled(block, last)]


def _filled(block: bytearray, last: int) -> bytes:
    """The last record takes all that is left."""
    struct.pack_into("<H", block, last + 4, BLOCK - TAIL - last)
    return bytes(block.ljust(BLOCK - TAIL, b"\0"))


def sealed_directory(blocks: Iterable[bytes], number: int, seed: int) -> bytes:
    start = inode_seed(number, seed)
    tails = (
        (block, struct.pack("<IHBBI", 0, TAIL, 0, 0xDE, crc32c(block, start))) for block in blocks
    )
    return b"".join(part for pair in tails for part in pair)


def xattrs_inline(xattrs: Xattrs) -> bytes | None:
    """Attributes as they stand in an inode; None if they are too many for it."""
    room = INODE - _INLINE - 4
    entries = _xattr_entries(xattrs, room, start=0)
    return None if entries is None else struct.pack("<I", layout.XATTR_MAGIC) + entries[0]


def xattrs_block(xattrs: Xattrs, block: int, seed: int) -> bytes | None:
    """Attributes as they stand in the block of that number; None if they are too many for it."""
    entries = _xattr_entries(xattrs, BLOCK - 32, start=32)
    if entries is None:
        return None
    body, hashes = entries
    hash = 0
    for one in hashes:
        hash = (hash << 16 ^ hash >> 16 ^ one) & 0xFFFFFFFF
    raw = bytearray(
        struct.pack("<IIIII", layout.XATTR_MAGIC, 1, 1, hash, 0).ljust(32, b"\0") + body
    )
    checksum = crc32c(bytes(raw), crc32c(struct.pack("<Q", block), seed))
    struct.pack_into("<I", raw, 16, checksum)
    return bytes(raw)


def _xattr_entries(xattrs: Xattrs, room: int, *, start: int) -> tuple[bytes, list[int]] | None:
    """Records from the front, values from the back of ``room`` bytes; and the records' hashes."""
    # The kernel looks a name up as if they were sorted like this.
    named = sorted(
        (*_xattr_name(name), value + bytes(-len(value) % 4), len(value)) for name, value in xattrs
    )
    head, end, hashes = bytearray(), room, []
    for index, length, name, padded, size in named:
        end -= len(padded)
        if len(head) + 16 + length + 3 + 4 > end:
            return None
        hashes.append(_xattr_hash(name, padded))
        head += struct.pack(
            "<BBHIII", length, index, start + end if size else 0, 0, size, hashes[-1]
        )
        head += name + bytes(-length % 4)
    values = b"".join(padded for *_, padded, _ in reversed(named))
    return bytes(head.ljust(end, b"\0")) + values, hashes


def _xattr_name(name: str) -> tuple[int, int, bytes]:
    for index, prefix in ((1, "user."), (4, "trusted."), (6, "security.")):
        rest = name.removeprefix(prefix).encode(errors="surrogateescape")
        if name.startswith(prefix) and 0 < len(rest) <= LONGEST_NAME:
            return index, len(rest), rest
    raise ConfigError(
        f"the extended attribute {name} can't be written",
        hint="its name must start with user., trusted. or security.",
    )


def _xattr_hash(name: bytes, padded: bytes) -> int:
    hash = 0
    for byte in name:
        hash = (hash << 5 ^ hash >> 27 ^ byte) & 0xFFFFFFFF
    for (word,) in struct.iter_unpack("<I", padded):
        hash = (hash << 16 ^ hash >> 16 ^ word) & 0xFFFFFFFF
    return hash
