"""Writes an initramfs: a newc archive, made here because owners and devices need no root that way.

It knows no TOML, so a program that has a tree can write one without loading what reads profiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import IO, Literal, Protocol

import zstandard

from rootfs_tool import events, segments
from rootfs_tool.errors import ConfigError
from rootfs_tool.tree import (
    CHUNK,
    Device,
    Directory,
    File,
    Node,
    Symlink,
    Tree,
    name_bytes,
    pieces,
    st_mode,
)
from rootfs_tool.tree import size as size_of

HEADER = 110  # bytes of a record before its name
TRAILER = "TRAILER!!!"
CPIO_BLOCK = 512  # bytes that cpio(1) reads at a time: what follows a block is left to the next
LARGEST = (1 << 32) - 1  # bytes of one file: eight hexadecimal digits

# Measured on a rootfs of 2 MB and on 43 MB of modules: above 9 the time doubles for each percent,
# 19 takes 25 times as long for 12 %; 3 takes half as long and leaves a tenth more.
ZSTD_LEVEL = 9
# Jobs of a fixed size give the same bytes on any number of processors.
ZSTD_JOB = 2 << 20
GZIP_LEVEL = 6

# A name, what stands there, and how many bytes follow its header.
Row = tuple[str, Node, int]


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def write(
    tree: Tree, out: Path, *, epoch: int, compression: Literal["zstd", "gzip", "none"] = "zstd"
) -> None:
    """Write ``tree`` as the file ``out``: the same bytes for the same tree and ``epoch``.

    ``epoch`` is the time, in seconds since 1970, of every node. Compressed with zstd it is two
    archives, and the first of them comes from the cache if that has it. Raises ConfigError if a
    file can't be read or is too large, FetchError if the cache can't be written.
    """
    rows: list[Row] = []
    for path, node in tree.walk():
        name = path.as_posix().lstrip("/") or "."
        rows.append((name, node, _size(name, node)))
    _note_xattrs(rows)
    with out.open("w+b") as file:
        if compression == "zstd":
            _write_segments(file, rows, epoch)
        else:
            _write(file, compression, _archive(rows, epoch), _total(rows))


def _write_segments(file: BufferedRandom, rows: Sequence[Row], epoch: int) -> None:
    """Two archives, each compressed by itself: what lies below /usr, and the rest.

    The kernel unpacks one after the other. The first is most of the bytes and seldom changes; that
    the paths alone tell them apart makes them the same with any cache or none.
    """
    usr = [row for row in rows if row[0] == "usr" or row[0].startswith("usr/")]
    rest = [row for row in rows if row[0] != "usr" and not row[0].startswith("usr/")]
    if usr:
        end = bytes(-_total(usr) % CPIO_BLOCK)
        segments.write(
            file,
            lambda: itertools.chain(_archive(usr, epoch), [end]),
            how=f"zstandard {zstandard.__version__}, level {ZSTD_LEVEL}, jobs of {ZSTD_JOB}",
            compress=lambda to, blocks: _write(to, "zstd", blocks, _total(usr) + len(end)),
        )
    _write(file, "zstd", _archive(rest, epoch), _total(rest))


def _write(file: IO[bytes], compression: str, blocks: Iterable[bytes], total: int) -> None:
    """Write ``total`` bytes to ``file``, compressed."""
    with _compressed(file, compression, total) as to:
        for block in _joined(blocks):
            to.write(block)


def _note_xattrs(rows: Iterable[Row]) -> None:
    for name, node, _ in rows:
        if isinstance(node, File | Directory) and node.xattrs:
            events.note(f"an initramfs can't hold extended attributes, such as those of /{name}")
            return


@contextmanager
def _compressed(file: IO[bytes], compression: str, total: int) -> Iterator[Writable]:
    """Where to write ``total`` bytes so that ``file`` gets them compressed."""
    match compression:
        case "zstd":
            how = zstandard.ZstdCompressionParameters.from_level(
                ZSTD_LEVEL, source_size=total, threads=-1, job_size=ZSTD_JOB, write_checksum=True
            )
            zstd = zstandard.ZstdCompressor(compression_params=how)
            with zstd.stream_writer(file, size=total, closefd=False) as writer:
                yield writer
        case "gzip":
            import gzip

            with gzip.GzipFile("", "wb", GZIP_LEVEL, fileobj=file, mtime=0) as writer:
                yield writer
        case _:
            yield file


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces: a compressor is dear to call while other threads run."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= CHUNK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _archive(rows: Iterable[Row], epoch: int) -> Iterator[bytes]:
    for inode, (name, node, size) in enumerate(rows, start=1):
        yield _header(name, node, size, inode=inode, epoch=epoch)
        yield from _body(node, size)
        yield bytes(-size % 4)
    yield _header(TRAILER, None, 0, inode=0, epoch=0)


def _total(rows: Iterable[Row]) -> int:
    """Bytes of an archive."""
    return _length(TRAILER, 0) + sum(_length(name, size) for name, _, size in rows)


def _length(name: str, size: int) -> int:
    """Bytes of a record with its file's."""
    return _padded(HEADER + len(name_bytes(name)) + 1) + _padded(size)


def _header(name: str, node: Node | None, size: int, *, inode: int, epoch: int) -> bytes:
    """A record of the "new ASCII" format, up to the file's bytes.

    Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources.
    """
    encoded = name_bytes(name) + b"\0"
    mode = st_mode(node) if node is not None else 0
    uid, gid = (0, 0) if node is None or isinstance(node, Symlink) else (node.uid, node.gid)
    major, minor = (node.major, node.minor) if isinstance(node, Device) else (0, 0)
    # inode, mode, uid, gid, links, time, size, device (two), device node (two), name, checksum;
    # two names of one inode with one link each are two files.
    fields = (inode, mode, uid, gid, 1, epoch, size, 0, 0, major, minor, len(encoded), 0)
    return (b"070701" + b"%08X" * len(fields) % fields + encoded).ljust(
        _padded(HEADER + len(encoded)), b"\0"
    )


def _size(name: str, node: Node) -> int:
    """Bytes that follow the header. Raises ConfigError if that can't be told or is too much."""
    match node:
        case File():
            size = size_of(node)
        case Symlink(to=to):
            size = len(name_bytes(to))
        case _:
            size = 0
    if size > LARGEST:
        raise ConfigError(f"/{name} is larger than an initramfs can hold (4 GiB)")
    return size


def _body(node: Node, size: int) -> Iterator[bytes]:
    match node:
        case File():
            yield from pieces(node, size)
        case Symlink(to=to):
            yield name_bytes(to)
        case _:
            pass


def _padded(length: int) -> int:
    return -(-length // 4) * 4
