"""Reads ext2, ext3 and ext4 where they lie in an image file, and tells what of it they use."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rootfs_tool.filesystem import ext4layout as layout
from rootfs_tool.filesystem.base import Entry, Filesystem
from rootfs_tool.filesystem.ext4inode import Inode, Volume

ROOT = 2  # the inode of /
FAST_LINK = 60  # bytes: a shorter link's target stands in the inode itself
LONGEST_LINK = 4096  # bytes, PATH_MAX


class Ext4(Filesystem):
    """The ext4 that starts ``offset`` bytes into ``image``.

    A journal that was not replayed is not looked at. Raises ConfigError if there is no ext4.
    """

    kind = "ext4"

    def __init__(self, image: Path, offset: int = 0) -> None:
        self.volume = Volume(image, offset)
        self.label = self.volume.superblock.label.decode(errors="replace")

    def entries(self) -> Iterator[Entry]:
        top = PurePosixPath("/")
        found = {top: self.volume.inode(ROOT)}
        todo, seen = [top], {ROOT}
        while todo:
            directory = todo.pop()
            for name, number in self.volume.names(found[directory]):
                if name in (".", ".."):
                    continue
                path = directory / name
                if path in found or path.parent != directory:
                    raise self.volume.damaged(f"{directory} has a name that can't be: {name!r}")
                found[path] = inode = self.volume.inode(number)
                if stat.S_ISDIR(inode.mode):
                    if number in seen:
                        raise self.volume.damaged(f"{path} is a directory that has another place")
                    seen.add(number)
                    todo.append(path)
        for path, inode in sorted(found.items()):
            yield self._entry(path, inode)

    def read(self, entry: Entry) -> Iterator[bytes]:
        yield from self.volume.content(self.volume.inode(entry.inode))

    def used(self) -> Iterator[tuple[int, int]]:
        """(start, end) in bytes of the image file: all that the file system may read.

        The part of an inode table that was never used is left out where the kernel, by the flags
        of its group, zeroes it before its first use (lazy_itable_init, mke2fs(8)).
        """
        volume = self.volume
        bitmaps = self.block_bitmaps()
        for start, end in self._unused_tables():
            layout.mark(volume.superblock, bitmaps, start, end - start, used=False)
        blocks = [(0, 1)] if volume.superblock.first_block else []
        for number, bits in enumerate(bitmaps):
            first, length = volume.superblock.start(number), volume.superblock.length(number)
            blocks += [(first + a, first + b) for a, b in layout.runs(bits, length, of=True)]
        for start, end in layout.merged(blocks):
            yield (
                volume.image.offset + start * volume.block_size,
                volume.image.offset + end * volume.block_size,
            )

    def block_bitmaps(self) -> list[int]:
        """Each group's, as a number whose bit 0 is the group's first block."""
        trusted = self.volume.superblock.read_only & layout.CHECKSUMS
        found = layout.untouched(self.volume.superblock, self.volume.groups)
        for number, group in enumerate(self.volume.groups):
            if not (trusted and group.flags & layout.BLOCK_UNINIT):
                found[number] = int.from_bytes(self.volume.block(group.block_bitmap), "little")
        return found

    def _unused_tables(self) -> Iterator[tuple[int, int]]:
        """(first block, end) of the parts of inode tables that were never used."""
        superblock = self.volume.superblock
        per_block = superblock.block_size // superblock.inode_size
        every = superblock.inodes_per_group
        for group in self.volume.groups if superblock.read_only & layout.CHECKSUMS else ():
            if not group.flags & layout.INODE_ZEROED:
                uninit = group.flags & layout.INODE_UNINIT
                used = 0 if uninit else max(every - group.unused_inodes, 0)
                end = group.inode_table + -(-every // per_block)
                yield group.inode_table + -(-used // per_block), end

    def _entry(self, path: PurePosixPath, inode: Inode) -> Entry:
        major, minor, to = 0, 0, ""
        if stat.S_ISLNK(inode.mode):
            to = self._target(path, inode)
        elif stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode):
            major, minor = _device(inode.map)
        holds = stat.S_ISREG(inode.mode) or stat.S_ISDIR(inode.mode)
        return Entry(
            path=path,
            mode=inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            size=inode.size if holds else len(os.fsencode(to)),
            mtime=inode.mtime,
            to=to,
            major=major,
            minor=minor,
            inode=inode.number,
            xattrs=dict(self.volume.xattrs(inode)),
            extents=tuple(self._extents(inode)) if stat.S_ISREG(inode.mode) else (),
        )

    def _target(self, path: PurePosixPath, inode: Inode) -> str:
        if inode.size < FAST_LINK and not inode.has_extents:
            return os.fsdecode(inode.map[: inode.size])
        if inode.size >= LONGEST_LINK:
            raise self.volume.damaged(f"the link {path} is longer than a link can be")
        return os.fsdecode(b"".join(self.volume.content(inode)))

    def _extents(self, inode: Inode) -> list[tuple[int, int]]:
        """Where a file's bytes lie in the image; nothing if some of them lie nowhere."""
        block, found = self.volume.block_size, []
        for run in self.volume.runs(inode):
            length = min(run.count * block, inode.size - run.at * block)
            if length > 0:
                found.append((self.volume.image.offset + run.block * block, length))
        return found if sum(length for _, length in found) == inode.size else []


def _device(map: bytes) -> tuple[int, int]:
    """Major and minor number, which stand where a file has its map: in 16 bits, else in 32."""
    old, new = struct.unpack_from("<II", map)
    if old:
        return old >> 8 & 0xFF, old & 0xFF
    return new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00
