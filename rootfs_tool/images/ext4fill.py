"""Lays a tree into an empty ext4 that mke2fs has just made in an image file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem import ext4layout as layout
from rootfs_tool.filesystem.ext4 import ROOT, Ext4
from rootfs_tool.images import ext4groups, ext4records
from rootfs_tool.images.ext4records import BLOCK, Inode, Runs
from rootfs_tool.tree import (
    Device,
    Directory,
    File,
    Node,
    Symlink,
    Tree,
    Xattrs,
    name_bytes,
    pieces,
    size,
    st_mode,
)

LOST_FOUND = PurePosixPath("/lost+found")  # e2fsck(8) puts there what it finds
FIRST = 11  # the first inode that is not the file system's own; mke2fs's lost+found
LONGEST_LINK = 4095  # bytes, PATH_MAX without its end
FAST_LINK = 59  # bytes of a link's target that an inode holds


class Full(Exception):  # not an error until somebody says which file system
    """There is no free block left."""


def fill(tree: Tree, image: Path, *, offset: int, epoch: int) -> None:
    """Write the tree into the file system at that offset. Raises Full, or ConfigError."""
    nodes = dict(tree.walk())
    nodes.setdefault(PurePosixPath("/"), Directory())
    nodes.setdefault(LOST_FOUND, Directory(mode=0o700))
    with Filling(image, offset, epoch) as filling:
        filling.lay(dict(sorted(nodes.items())))


class Filling:
    """The file system as it fills; blocks are taken in their order and never given back."""

    def __init__(self, image: Path, offset: int, epoch: int) -> None:
        reader = Ext4(image, offset)
        self._volume, self._epoch, self._offset = reader.volume, epoch, offset
        self._superblock = reader.volume.superblock
        self._bitmaps = reader.block_bitmaps()
        for number in (ROOT, FIRST):  # what mke2fs made is made anew
            for run in self._volume.runs(self._volume.inode(number)):
                layout.mark(self._superblock, self._bitmaps, run.block, run.count, used=False)
        self._free = self._free_runs(list(self._bitmaps))
        self._here = (0, 0)
        self._file = os.open(image, os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def lay(self, nodes: dict[PurePosixPath, Node]) -> None:
        """Write all of a tree, whose nodes are sorted."""
        numbers = {path: number for number, path in enumerate(nodes, start=FIRST - 1)}
        numbers[PurePosixPath("/")] = ROOT
        below: dict[PurePosixPath, list[PurePosixPath]] = {path: [] for path in nodes}
        for path in nodes:
            if path.name:
                below[path.parent].append(path)
        records: dict[int, bytes] = {}
        # Directories come first and so side by side: all of them are read, of the files a few.
        for path, node in sorted(nodes.items(), key=lambda one: not isinstance(one[1], Directory)):
            number = numbers[path]
            if isinstance(node, Directory):
                inode = self._directory(path, node, numbers, [(p, nodes[p]) for p in below[path]])
            else:
                inode = self._other(path, node, number)
            records[number] = inode.packed(number, self._epoch, self._superblock.seed)
        directories = [numbers[p] for p, node in nodes.items() if isinstance(node, Directory)]
        self._finish(records, directories)

    def _directory(
        self,
        path: PurePosixPath,
        node: Directory,
        numbers: dict[PurePosixPath, int],
        children: list[tuple[PurePosixPath, Node]],
    ) -> Inode:
        number = numbers[path]
        names = [(b".", number, stat.S_IFDIR), (b"..", numbers[path.parent], stat.S_IFDIR)]
        for child, what in children:
            name = name_bytes(child.name)
            if len(name) > ext4records.LONGEST_NAME:
                raise ConfigError(f"the name of {child} is too long for an ext4 (255 bytes)")
            names.append((name, numbers[child], st_mode(what)))
        blocks = ext4records.directory(names)
        content = ext4records.sealed_directory(blocks, number, self._superblock.seed)
        return self._mapped(
            node,
            number,
            [content],
            len(content),
            xattrs=node.xattrs,
            links=2 + sum(isinstance(what, Directory) for _, what in children),
        )

    def _other(self, path: PurePosixPath, node: File | Symlink | Device, number: int) -> Inode:
        match node:
            case File():
                length = size(node)
                return self._mapped(node, number, pieces(node, length), length, xattrs=node.xattrs)
            case Symlink():
                to = name_bytes(node.to)
                if len(to) > LONGEST_LINK:
                    raise ConfigError(f"the link {path} is too long for Linux (4,095 bytes)")
                if len(to) > FAST_LINK:
                    return self._mapped(node, number, [to], len(to))
                return Inode(mode=st_mode(node), size=len(to), map=to, is_mapped=False)
            case Device():
                return Inode(
                    mode=st_mode(node),
                    uid=node.uid,
                    gid=node.gid,
                    map=ext4records.device(node.major, node.minor),
                    is_mapped=False,
                )

    def _mapped(
        self,
        node: File | Directory | Symlink,
        number: int,
        content: Iterable[bytes],
        length: int,
        *,
        xattrs: Xattrs = (),
        links: int = 1,
    ) -> Inode:
        """An inode with that content, which is written."""
        runs = self._take(-(-length // BLOCK))
        self._pour(content, runs)
        map, blocks = self._map(runs, number)
        inline, outside = self._xattrs(xattrs, number)
        return Inode(
            mode=st_mode(node),
            uid=0 if isinstance(node, Symlink) else node.uid,
            gid=0 if isinstance(node, Symlink) else node.gid,
            size=length,
            links=links,
            blocks=sum(count for _, count in runs) + blocks + bool(outside),
            map=map,
            xattrs=inline,
            xattr_block=outside,
        )

    def _map(self, runs: Runs, number: int) -> tuple[bytes, int]:
        """What the inode says of where its bytes are, and how many blocks more that took."""
        if len(runs) <= ext4records.INLINE_EXTENTS:
            return ext4records.extents(runs), 0
        many = -(-len(runs) // ext4records.EXTENTS_PER_BLOCK)
        if many > ext4records.INLINE_EXTENTS:
            raise Full
        blocks = [block for run in self._take(many) for block in range(run[0], sum(run))]
        map, *nodes = ext4records.extent_blocks(runs, blocks, number, self._superblock.seed)
        for block, node in zip(blocks, nodes, strict=True):
            self._write(block * BLOCK, node)
        return map, many

    def _xattrs(self, xattrs: Xattrs, number: int) -> tuple[bytes, int]:
        """Extended attributes as the inode holds them, and the block of those that it can't."""
        if not xattrs:
            return b"", 0
        inline = ext4records.xattrs_inline(xattrs)
        if inline is not None:
            return inline, 0
        ((block, _),) = self._take(1)
        outside = ext4records.xattrs_block(xattrs, block, self._superblock.seed)
        if outside is None:
            raise ConfigError("more extended attributes than a block holds (4,096 bytes)")
        self._write(block * BLOCK, outside)
        return b"", block

    def _take(self, count: int) -> Runs:
        """That many blocks. Raises Full."""
        taken = []
        while count:
            start, end = self._here
            if start == end:
                self._here = next(self._free, (0, 0))
                if self._here == (0, 0):
                    raise Full
                continue
            here = min(count, end - start, ext4records.LONGEST_RUN)
            taken.append((start, here))
            layout.mark(self._superblock, self._bitmaps, start, here)
            self._here, count = (start + here, end), count - here
        return taken

    def _free_runs(self, bitmaps: list[int]) -> Iterator[tuple[int, int]]:
        for number, bits in enumerate(bitmaps):
            first = self._superblock.start(number)
            for start, end in layout.runs(bits, self._superblock.length(number), of=False):
                yield first + start, first + end

    def _pour(self, content: Iterable[bytes], runs: Runs) -> None:
        places = iter(runs)
        at = end = 0
        for piece in content:
            left = memoryview(piece)
            while left:
                if at == end:
                    block, count = next(places)
                    at, end = block * BLOCK, (block + count) * BLOCK
                part = left[: end - at]
                self._write(at, part)
                at, left = at + len(part), left[len(part) :]

    def _write(self, at: int, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        while left:
            done = os.pwrite(self._file, left, self._offset + at)
            at, left = at + done, left[done:]

    def _finish(self, records: dict[int, bytes], directories: list[int]) -> None:
        """Write the inodes, and what counts blocks and inodes."""
        seed = self._superblock.seed
        for number in range(1, FIRST):
            raw = self._volume.inode(number).raw
            if number != ROOT:  # the others are the file system's own, or empty
                made = ext4records.sealed(bytearray(raw), number, self._epoch, seed)
                records[number] = made if any(raw) else raw
        for at, data in ext4groups.tables(self._volume, records):
            self._write(at, data)
        for at, data in ext4groups.counted(
            self._volume, self._bitmaps, len(records), directories, self._epoch
        ):
            self._write(at, data)
