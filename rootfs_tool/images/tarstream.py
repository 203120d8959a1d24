"""A tree as a tar archive, for programs that make a file system from one."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from rootfs_tool.errors import ConfigError
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
)

PREFIXES = ("user.", "trusted.", "security.")  # what squashfs and erofs can hold
BLOCK = tarfile.BLOCKSIZE


def stream(tree: Tree, *, epoch: int) -> Iterator[bytes]:
    """The archive in GNU's format, attributes as star(1) has them; / itself comes first.

    Every time in it is ``epoch``, in seconds since 1970. Raises ConfigError if a file can't be
    read, or has an attribute that no file system here can hold.
    """
    nodes = dict(tree.walk())
    nodes.setdefault(PurePosixPath("/"), Directory())
    for path, node in sorted(nodes.items()):
        if isinstance(node, File | Directory) and node.xattrs:
            yield from _attributes(path, node.xattrs)
        length = size(node) if isinstance(node, File) else 0
        header = _header(path, node, length)
        header.mtime = epoch
        yield _bytes(header)
        if isinstance(node, File):
            yield from pieces(node, length)
            yield bytes(-length % BLOCK)
    yield bytes(2 * BLOCK)


def _header(path: PurePosixPath, node: Node, length: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(f".{path}")
    match node:
        case Symlink():
            header.type, header.linkname, header.mode = tarfile.SYMTYPE, node.to, 0o777
            return header
        case File():
            header.size = length
        case Directory():
            header.type = tarfile.DIRTYPE
        case Device():
            header.type = tarfile.CHRTYPE if node.kind == "char" else tarfile.BLKTYPE
            header.devmajor, header.devminor = node.major, node.minor
    header.mode, header.uid, header.gid = node.mode, node.uid, node.gid
    return header


def _attributes(path: PurePosixPath, xattrs: Xattrs) -> Iterator[bytes]:
    records = b""
    for name, value in sorted(xattrs):
        if not name.startswith(PREFIXES):
            raise ConfigError(
                f"{path} has the extended attribute {name}, which can't be written",
                hint="its name must start with user., trusted. or security.",
            )
        record = b" SCHILY.xattr." + name_bytes(name) + b"=" + value + b"\n"
        digits = len(str(len(record)))
        if len(str(len(record) + digits)) > digits:  # its own length counts too
            digits += 1
        records += str(len(record) + digits).encode() + record
    header = tarfile.TarInfo("attributes")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    yield _bytes(header) + records + bytes(-len(records) % BLOCK)


def _bytes(header: tarfile.TarInfo) -> bytes:
    return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
