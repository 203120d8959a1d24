"""The tables of a squashfs: its superblock, and the packed fields that everything else is in.

Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h in the kernel's sources.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.decompress import block
from rootfs_tool.filesystem.imagefile import ImageFile

MAGIC = b"hsqs"
COMPRESSIONS = {1: "zlib", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
READ = ("zlib", "xz", "zstd")
NONE = 0xFFFFFFFF  # no fragment, no xattrs
STORED = 1 << 24  # in the size of a data block: it is not compressed
LARGEST_BLOCK = 1 << 20
METADATA = 8192  # bytes of a block of metadata once it is unpacked

U16 = struct.Struct("<H")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
_SUPERBLOCK = struct.Struct("<4s4I6H8Q")
_FRAGMENT = struct.Struct("<QII")
_XATTR = struct.Struct("<QII")
_XATTR_NAME = struct.Struct("<HH")
_XATTR_PREFIXES = {0: "user.", 1: "trusted.", 2: "security."}
_ELSEWHERE = 0x100  # in the type of an xattr: instead of the value there is where it is


class Fields:
    """Packed fields, read one after another from a place in the metadata."""

    def __init__(self, tables: Tables, block: int, offset: int) -> None:
        self._tables = tables
        self._block = block
        self._offset = offset

    def take(self, length: int) -> bytes:
        pieces = []
        while True:
            data, following = self._tables.metadata(self._block)
            piece = data[self._offset : self._offset + length]
            pieces.append(piece)
            self._offset += len(piece)
            length -= len(piece)
            if not length:
                return b"".join(pieces)
            self._block, self._offset = following, 0

    def unpack(self, fields: struct.Struct) -> tuple[int, ...]:
        return fields.unpack(self.take(fields.size))


class Tables:
    """The superblock and what it leads to. Raises ConfigError if ``image`` is no squashfs 4.0."""

    def __init__(self, image: ImageFile) -> None:
        self.image = image
        fields = _SUPERBLOCK.unpack(image.at(0, _SUPERBLOCK.size))
        magic, _, _, self.block_size, _, how, _, _, self._ids, *version = fields[:11]
        self.root, self.used, *at = fields[11:]
        if magic != MAGIC or version != [4, 0] or not 0 < self.block_size <= LARGEST_BLOCK:
            raise ConfigError(f"{image.path} is no squashfs 4.0")
        self._id_table, self._xattr_table, self.inodes, self.directories, self._fragments, _ = at
        self.compression = COMPRESSIONS.get(how, f"method {how}")
        if self.compression not in READ:
            raise ConfigError(
                f"{image.path} is compressed with {self.compression}, which is not read here",
                hint=f"unsquashfs -o {image.offset} {image.path}",
            )
        self.metadata = lru_cache(maxsize=256)(self._metadata)

    def damage(self) -> ConfigError:
        return ConfigError(f"{self.image.path} is damaged: its tables make no sense")

    def unpack(self, data: bytes, most: int) -> bytes:
        """A block of data or metadata, of at most that many bytes."""
        unpacked = block(data, self.compression, most)
        if unpacked is None:
            raise self.damage()
        return unpacked

    def _metadata(self, at: int) -> tuple[bytes, int]:
        """The block of metadata at that byte, unpacked and not empty, and where the next one is."""
        (header,) = U16.unpack(self.image.at(at, U16.size))
        length = header & 0x7FFF
        data = self.image.at(at + U16.size, length)
        unpacked = data if header & 0x8000 else self.unpack(data, METADATA)
        if not unpacked:
            raise self.damage()
        return unpacked, at + U16.size + length

    def _in(self, table: int, index: int, size: int) -> Fields:
        """Where the entry of that index is in a table of entries of ``size`` bytes."""
        block, offset = divmod(index * size, METADATA)
        (at,) = U64.unpack(self.image.at(table + block * U64.size, U64.size))
        return Fields(self, at, offset)

    def id(self, index: int) -> int:
        """A user's or group's number."""
        if index >= self._ids:
            raise self.damage()
        return self._in(self._id_table, index, U32.size).unpack(U32)[0]

    def fragment(self, index: int) -> tuple[int, int]:
        """Where a block of files' tails is, and its size with its STORED bit."""
        at, size, _ = self._in(self._fragments, index, _FRAGMENT.size).unpack(_FRAGMENT)
        return at, size

    def xattrs(self, index: int) -> dict[str, bytes]:
        """The attributes of that index, by their full names."""
        if index == NONE:
            return {}
        header = self.image.at(self._xattr_table, U64.size)
        start = U64.unpack(header)[0]
        reference, count, _ = self._in(self._xattr_table + 16, index, _XATTR.size).unpack(_XATTR)
        fields = Fields(self, start + (reference >> 16), reference & 0xFFFF)
        found = {}
        for _ in range(count):
            kind, length = fields.unpack(_XATTR_NAME)
            name = os.fsdecode(fields.take(length))
            value = fields.take(self._value_size(fields))
            if kind & _ELSEWHERE:
                reference = U64.unpack(value)[0] if len(value) == U64.size else 0
                there = Fields(self, start + (reference >> 16), reference & 0xFFFF)
                value = there.take(self._value_size(there))
            found[_XATTR_PREFIXES.get(kind & 0xFF, "") + name] = value
        return found

    def _value_size(self, fields: Fields) -> int:
        (size,) = fields.unpack(U32)
        if size > 1 << 16:  # XATTR_SIZE_MAX of the kernel
            raise self.damage()
        return size
