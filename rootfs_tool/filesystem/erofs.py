"""An erofs, read without mounting; files that are compressed are unpacked by fsck.erofs.

Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h in the kernel's sources.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from rootfs_tool import proc
from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.filesystem import lookup
from rootfs_tool.filesystem.base import Entry, Filesystem
from rootfs_tool.filesystem.imagefile import CHUNK, SCRATCH, ImageFile

SUPERBLOCK = 1024  # bytes before it
MAGIC = 0xE0F5E1E2
MOST = 1 << 22  # names in one image: a hostile one could go on for ever
PATH_MAX = 4096
SLOT = 32  # bytes: inodes begin at multiples of it

_SUPER = struct.Struct("<IIIBBHQQIIII16s16s")
_COMPACT = struct.Struct("<HHHHIIIIHHI")
_EXTENDED = struct.Struct("<HHHHQIIIIQII16x")
_NAME = struct.Struct("<QHBB")
_XATTR = struct.Struct("<BBH")
_XATTR_HEADER = 12  # bytes before an inode's own xattrs, beside its shared ones
_PREFIXES = {
    1: "user.",
    2: "system.posix_acl_access",
    3: "system.posix_acl_default",
    4: "trusted.",
    6: "security.",
}

# How a file's bytes lie (i_format).
PLAIN, COMPRESSED_FULL, INLINE, COMPRESSED, CHUNKED = range(5)


@dataclass(frozen=True, slots=True)
class Inode:
    """``entry`` has no path yet; ``where`` is a block, a device or the number of blocks it takes.

    ``end`` is the byte after the inode and its xattrs, where its last bytes may be.
    """

    number: int
    layout: int
    where: int
    size: int
    end: int
    entry: Entry


class Erofs(Filesystem):
    """Raises ConfigError if ``image`` can't be read or is no erofs."""

    kind = "erofs"

    def __init__(self, image: Path, offset: int = 0) -> None:
        self._image = ImageFile(image, offset)
        fields = _SUPER.unpack(self._image.at(SUPERBLOCK, _SUPER.size))
        magic, _, _, bits, _, self._root, _, self._time, _, _, meta, xattrs, _, name = fields
        if magic != MAGIC or not 9 <= bits <= 16:
            raise ConfigError(f"{image} is no erofs")
        self._block = 1 << bits
        self._inodes_at = meta << bits
        self._xattrs_at = xattrs << bits
        self.label = name.rstrip(b"\0").decode(errors="replace")

    def entries(self) -> Iterator[Entry]:
        for path in sorted(self._inodes):
            inode = self._inodes[path]
            compressed = inode.layout in (COMPRESSED_FULL, COMPRESSED)
            extents = tuple(self._extents(inode)) if stat.S_ISREG(inode.entry.mode) else ()
            stored = inode.where * self._block if compressed else inode.entry.size
            yield replace(
                inode.entry, path=path, inode=inode.number, extents=extents, stored=stored
            )

    def read(self, entry: Entry) -> Iterator[bytes]:
        inode = self._inodes[entry.path]
        if inode.layout in (PLAIN, INLINE):
            yield from self._pieces(inode)
            return
        try:
            with Path(self._unpacked, *entry.path.parts[1:]).open("rb", buffering=0) as file:
                while piece := file.read(CHUNK):
                    yield piece
        except OSError:
            raise self._damage() from None

    def _damage(self) -> ConfigError:
        return ConfigError(f"{self._image.path} is damaged: its inodes make no sense")

    @cached_property
    def _unpacked(self) -> Path:
        """A directory with all files, gone with this object."""
        if self._image.offset:
            raise ConfigError(f"{self._image.path}: a compressed erofs in a card is not read here")
        directory = Path(tempfile.mkdtemp(prefix="rootfs-tool-", dir=SCRATCH))
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        argv = ("fsck.erofs", f"--extract={directory}", "--overwrite", "--no-preserve")
        try:
            proc.run(*argv, self._image.path, timeout=300)
        except CommandError as error:
            said = error.output.strip().splitlines()[-1:]
            raise ConfigError(
                f"{self._image.path}: fsck.erofs can't unpack it: {''.join(said)}"
            ) from None
        return directory

    @cached_property
    def _inodes(self) -> dict[PurePosixPath, Inode]:
        root = self._inode(self._root)
        if not root.entry.is_directory:
            raise self._damage()
        found = {lookup.ROOT: root}
        todo, seen = [lookup.ROOT], {self._root}
        while todo:
            directory = todo.pop()
            for name, number in self._names(found[directory]):
                path = directory / name
                if path in found or len(found) > MOST:
                    raise self._damage()
                inode = found[path] = self._inode(number)
                if inode.entry.is_directory:
                    if number in seen:  # it would be inside itself
                        raise self._damage()
                    seen.add(number)
                    todo.append(path)
        return found

    def _inode(self, number: int) -> Inode:
        at = self._inodes_at + number * SLOT
        raw = self._image.some(at, _EXTENDED.size)
        if len(raw) < _COMPACT.size:
            raise self._damage()
        format, xattrs, mode = struct.unpack_from("<HHH", raw)
        if format & 1:
            fields = _EXTENDED.unpack(self._image.at(at, _EXTENDED.size))
            _, _, _, _, size, where, _, uid, gid, mtime, _, _ = fields
            body = at + _EXTENDED.size
        else:
            _, _, _, _, size, _, where, _, uid, gid, _ = _COMPACT.unpack_from(raw)
            mtime, body = self._time, at + _COMPACT.size
        layout = format >> 1 & 7
        length = _XATTR_HEADER + 4 * (xattrs - 1) if xattrs else 0
        entry = Entry(path=lookup.ROOT, mode=mode, uid=uid, gid=gid, mtime=mtime)
        inode = Inode(number, layout, where, size, body + length, entry)
        if stat.S_ISREG(mode):
            entry = replace(entry, size=size)
        elif stat.S_ISLNK(mode):
            if size > PATH_MAX:
                raise self._damage()
            entry = replace(entry, size=size, to=os.fsdecode(b"".join(self._pieces(inode))))
        elif stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            entry = replace(entry, major=os.major(where), minor=os.minor(where))
        return replace(inode, entry=replace(entry, xattrs=dict(self._xattrs(body, length))))

    def _extents(self, inode: Inode) -> Iterator[tuple[int, int]]:
        """Where the bytes of a file, link or directory lie, as an Entry has them."""
        if inode.layout not in (PLAIN, INLINE) or not inode.size:
            return
        tail = inode.size % self._block if inode.layout == INLINE else 0
        if inode.size > tail:
            yield self._image.offset + inode.where * self._block, inode.size - tail
        if tail:
            yield self._image.offset + inode.end, tail

    def _pieces(self, inode: Inode) -> Iterator[bytes]:
        if inode.layout not in (PLAIN, INLINE):
            raise self._damage()
        for at, length in self._extents(inode):
            yield from self._image.pieces(at - self._image.offset, length)

    def _names(self, inode: Inode) -> Iterator[tuple[str, int]]:
        """The names in a directory, with the numbers of their inodes; each block is by itself."""
        left = b""
        for piece in self._pieces(inode):
            left += piece
            while len(left) >= self._block:
                yield from self._names_in(left[: self._block])
                left = left[self._block :]
        if left:
            yield from self._names_in(left)

    def _names_in(self, block: bytes) -> Iterator[tuple[str, int]]:
        first = int.from_bytes(block[8:10], "little")  # the first name follows the last record
        if first % _NAME.size or not _NAME.size <= first < len(block):
            raise self._damage()
        records = [_NAME.unpack_from(block, at) for at in range(0, first, _NAME.size)]
        ends = [start for _, start, _, _ in records[1:]] + [len(block)]
        for (number, start, _, _), end in zip(records, ends, strict=True):
            name = block[start:end].partition(b"\0")[0]
            if not name or b"/" in name:
                raise self._damage()
            if name not in (b".", b".."):
                yield os.fsdecode(name), number

    def _xattrs(self, at: int, length: int) -> Iterator[tuple[str, bytes]]:
        if not length:
            return
        header = self._image.at(at, _XATTR_HEADER)
        shared, end = header[4], at + length
        at += _XATTR_HEADER
        for index in struct.unpack(f"<{shared}I", self._image.at(at, 4 * shared)):
            yield self._xattr(self._xattrs_at + 4 * index)[0]
        at += 4 * shared
        while at + _XATTR.size <= end:
            found, taken = self._xattr(at)
            yield found
            at += -(-taken // 4) * 4

    def _xattr(self, at: int) -> tuple[tuple[str, bytes], int]:
        """An attribute's name and value, and how many bytes they take with what is before them."""
        length, prefix, size = _XATTR.unpack(self._image.at(at, _XATTR.size))
        name = os.fsdecode(self._image.at(at + _XATTR.size, length))
        value = self._image.at(at + _XATTR.size + length, size)
        return (_PREFIXES.get(prefix, "") + name, value), _XATTR.size + length + size
