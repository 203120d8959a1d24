"""A squashfs, read without unsquashfs, which tells neither xattrs nor how small a file became."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from rootfs_tool.filesystem import lookup
from rootfs_tool.filesystem.base import Entry, Filesystem
from rootfs_tool.filesystem.imagefile import ImageFile
from rootfs_tool.filesystem.squashfstables import NONE, STORED, Fields, Tables

MOST = 1 << 22  # names in an image, blocks in a file: a hostile one could go on for ever
PATH_MAX = 4096  # bytes of a symbolic link's target


class Kind(IntEnum):
    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3
    BLOCK = 4
    CHARACTER = 5
    FIFO = 6
    SOCKET = 7


EXTENDED = 7  # what is added to a type whose inode has more fields
TYPES = {
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.FILE: stat.S_IFREG,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
}

# The fields of an inode after those that every one has, by the names of squashfs_fs.h.
COMMON = struct.Struct("<4H2I")  # inode_type, mode, uid, guid, mtime, inode_number
DIR = struct.Struct("<2I2HI")  # start_block, nlink, file_size, offset, parent_inode
LDIR = struct.Struct(
    "<4I2HI"
)  # nlink, file_size, start_block, parent_inode, i_count, offset, xattr
REG = struct.Struct("<4I")  # start_block, fragment, offset, file_size
LREG = struct.Struct("<3Q4I")  # start_block, file_size, sparse, nlink, fragment, offset, xattr
LINK = struct.Struct("<2I")  # nlink, symlink_size
DEVICE = struct.Struct("<2I")  # nlink, rdev
LINKS = struct.Struct("<I")  # nlink
XATTR = struct.Struct("<I")
RUN = struct.Struct("<3I")  # count less one, start_block of the inodes, inode_number
NAME = struct.Struct("<HhHH")  # offset of the inode, inode_number, type, size less one


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Where a file's bytes are: blocks in a row, each size with its STORED bit, and a tail."""

    start: int = 0
    sizes: tuple[int, ...] = ()
    fragment: int = NONE
    offset: int = 0

    @property
    def stored(self) -> int:
        """Bytes of the blocks in the image."""
        return sum(size & ~STORED for size in self.sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """``entry`` has no path yet; ``names`` is where a directory's are: block, offset, length."""

    number: int
    entry: Entry
    data: Data = Data()
    names: tuple[int, int, int] = (0, 0, 0)


class Squashfs(Filesystem):
    """Raises ConfigError if ``image`` can't be read or is no squashfs 4.0."""

    kind = "squashfs"

    def __init__(self, image: Path, offset: int = 0) -> None:
        self._image = ImageFile(image, offset)
        self.tables = Tables(self._image)
        self._fragment = lru_cache(maxsize=4)(self._unpacked_fragment)

    def entries(self) -> Iterator[Entry]:
        tails = self._tails()
        for path in sorted(self._inodes):
            inode = self._inodes[path]
            extents, stored = self._extents(inode), self._stored(inode, tails)
            yield replace(
                inode.entry, path=path, inode=inode.number, extents=extents, stored=stored
            )

    def read(self, entry: Entry) -> Iterator[bytes]:
        inode = self._inodes[entry.path]
        left, at = inode.entry.size, inode.data.start
        for size in inode.data.sizes:
            length = min(left, self.tables.block_size)
            yield self._block(at, size, length) if size else bytes(length)
            at += size & ~STORED
            left -= length
        if left:
            tail = self._fragment(inode.data.fragment)
            tail = tail[inode.data.offset : inode.data.offset + left]
            if len(tail) != left:
                raise self.tables.damage()
            yield tail

    def files_at(self, offset: int) -> list[PurePosixPath]:
        """The files whose compressed bytes hold this byte of the image file."""
        offset -= self._image.offset
        found = []
        for path, inode in self._inodes.items():
            data = inode.data
            if data.start <= offset < data.start + data.stored:
                found.append(path)
            elif data.fragment != NONE:
                start, size = self.tables.fragment(data.fragment)
                if start <= offset < start + (size & ~STORED):
                    found.append(path)
        return sorted(found)

    def _block(self, at: int, size: int, length: int) -> bytes:
        data = self._image.at(at, size & ~STORED)
        unpacked = data if size & STORED else self.tables.unpack(data, self.tables.block_size)
        if len(unpacked) != length:
            raise self.tables.damage()
        return unpacked

    def _unpacked_fragment(self, index: int) -> bytes:
        at, size = self.tables.fragment(index)
        data = self._image.at(at, size & ~STORED)
        return data if size & STORED else self.tables.unpack(data, self.tables.block_size)

    def _tails(self) -> dict[int, int]:
        """Bytes of files in each fragment."""
        tails: dict[int, int] = {}
        for inode in {inode.number: inode for inode in self._inodes.values()}.values():
            if inode.data.fragment != NONE:
                tail = inode.entry.size % self.tables.block_size
                tails[inode.data.fragment] = tails.get(inode.data.fragment, 0) + tail
        return tails

    def _stored(self, inode: Inode, tails: dict[int, int]) -> int:
        """Bytes of a file in the image, with its share of its fragment."""
        data = inode.data
        if data.fragment == NONE:
            return data.stored
        size = self.tables.fragment(data.fragment)[1] & ~STORED
        tail = inode.entry.size % self.tables.block_size
        return data.stored + (size * tail // tails[data.fragment] if tail else 0)

    def _extents(self, inode: Inode) -> tuple[tuple[int, int], ...]:
        """Where its bytes are, if none of them is compressed."""
        data, found = inode.data, []
        if data.sizes and all(size & STORED for size in data.sizes):
            found.append((self._image.offset + data.start, data.stored))
        elif data.sizes:
            return ()
        if data.fragment != NONE:
            at, size = self.tables.fragment(data.fragment)
            if not size & STORED:
                return ()
            tail = inode.entry.size % self.tables.block_size
            found.append((self._image.offset + at + data.offset, tail))
        return tuple(found)

    @cached_property
    def _inodes(self) -> dict[PurePosixPath, Inode]:
        """Every inode by its path."""
        root = self._inode(self.tables.root)
        found = {lookup.ROOT: root}
        todo, seen = [lookup.ROOT], {self.tables.root}
        while todo:
            directory = todo.pop()
            for name, reference in self._names(found[directory]):
                path = directory / name
                if path in found or len(found) > MOST:
                    raise self.tables.damage()
                inode = found[path] = self._inode(reference)
                if inode.entry.is_directory:
                    if reference in seen:  # it would be inside itself
                        raise self.tables.damage()
                    seen.add(reference)
                    todo.append(path)
        if not root.entry.is_directory:
            raise self.tables.damage()
        return found

    def _names(self, inode: Inode) -> Iterator[tuple[str, int]]:
        """The names in a directory, with the references of their inodes."""
        block, offset, left = inode.names
        fields = Fields(self.tables, self.tables.directories + block, offset)
        while left > 0:
            count, start, _ = fields.unpack(RUN)
            left -= RUN.size
            for _ in range(count + 1):
                at, _, _, length = fields.unpack(NAME)
                name = fields.take(length + 1)
                left -= NAME.size + len(name)
                if left < 0 or b"/" in name or b"\0" in name or name in (b".", b".."):
                    raise self.tables.damage()
                yield os.fsdecode(name), start << 16 | at

    def _inode(self, reference: int) -> Inode:
        fields = Fields(self.tables, self.tables.inodes + (reference >> 16), reference & 0xFFFF)
        number_of_kind, mode, uid, gid, mtime, number = fields.unpack(COMMON)
        extended = number_of_kind > EXTENDED
        try:
            kind = Kind(number_of_kind - EXTENDED * extended)
        except ValueError:
            raise self.tables.damage() from None
        entry = Entry(
            path=lookup.ROOT,
            mode=TYPES[kind] | mode & 0o7777,
            uid=self.tables.id(uid),
            gid=self.tables.id(gid),
            mtime=mtime,
        )
        match kind:
            case Kind.DIRECTORY:
                return self._directory(number, entry, fields, extended)
            case Kind.FILE:
                return self._file(number, entry, fields, extended)
            case Kind.SYMLINK:
                _, size = fields.unpack(LINK)
                if size > PATH_MAX:
                    raise self.tables.damage()
                entry = replace(entry, size=size, to=os.fsdecode(fields.take(size)))
            case Kind.BLOCK | Kind.CHARACTER:
                _, device = fields.unpack(DEVICE)
                entry = replace(entry, major=os.major(device), minor=os.minor(device))
            case Kind.FIFO | Kind.SOCKET:
                fields.unpack(LINKS)
        xattr = fields.unpack(XATTR)[0] if extended else NONE
        return Inode(number=number, entry=replace(entry, xattrs=self.tables.xattrs(xattr)))

    def _directory(self, number: int, entry: Entry, fields: Fields, extended: bool) -> Inode:
        if extended:
            _, length, block, _, _, offset, xattr = fields.unpack(LDIR)
            entry = replace(entry, xattrs=self.tables.xattrs(xattr))
        else:
            block, _, length, offset, _ = fields.unpack(DIR)
        # The length counts "." and "..", which are not there, as three bytes.
        return Inode(number=number, entry=entry, names=(block, offset, length - 3))

    def _file(self, number: int, entry: Entry, fields: Fields, extended: bool) -> Inode:
        if extended:
            start, size, _, _, fragment, offset, xattr = fields.unpack(LREG)
            entry = replace(entry, xattrs=self.tables.xattrs(xattr))
        else:
            start, fragment, offset, size = fields.unpack(REG)
        blocks = (
            size + (fragment == NONE) * (self.tables.block_size - 1)
        ) // self.tables.block_size
        if blocks > MOST:
            raise self.tables.damage()
        sizes = struct.unpack(f"<{blocks}I", fields.take(blocks * 4))
        data = Data(start=start, sizes=sizes, fragment=fragment, offset=offset)
        return Inode(number=number, entry=replace(entry, size=size), data=data)
