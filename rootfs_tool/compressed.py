"""Compressed images: unpacked with every check that their format has, and made with no holes in.

What ``compress`` makes is a file that gzip, xz or zstd unpack as they do any other. Each range of
the map is a member of its own in it (RFC 1952 section 2.2: "members simply appear one after
another"; xz calls it a stream, zstd a frame), and the map says where each begins: whoever has the
map unpacks the data alone.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

from rootfs_tool.blockmap import BlockMap, Kind
from rootfs_tool.errors import ConfigError

CHUNK = 1 << 18  # bytes read of the file at a time
LARGEST = 1 << 20  # bytes unpacked at a time
HOLE = 16 << 20  # bytes of zeros in one member of a hole
GZIP_LEVEL = 6
XZ_LEVEL = 4  # 6 needs 94 MiB of memory (xz(1)), this 48
ZSTD_LEVEL = 9  # as for an initramfs: see newc.py
_GZIP = 16 + zlib.MAX_WBITS  # a window as large as it gets, and a gzip header (zlib.h)
_ZSTD_BLOCK = struct.Struct("<HB")


class Format(StrEnum):
    """By the name's ending that people know it by."""

    GZIP = "gz"
    XZ = "xz"
    ZSTD = "zst"
    BZIP2 = "bz2"


_MAGIC = {
    b"\x1f\x8b\x08": Format.GZIP,
    b"\xfd7zXZ\x00": Format.XZ,
    b"\x28\xb5\x2f\xfd": Format.ZSTD,
    b"BZh": Format.BZIP2,
}


class Damaged(Exception):
    """Why the file can't be unpacked."""


def format_of(path: Path) -> Format | None:
    """How a file is compressed, by its first bytes; None if it is not.

    Raises ConfigError if it is not what its name says.
    """
    with path.open("rb") as file:
        start = file.read(8)
    named = next((one for one in Format if path.name.endswith(f".{one}")), None)
    found = next((one for magic, one in _MAGIC.items() if start.startswith(magic)), None)
    if named is not None and found != named:
        raise ConfigError(f"{path} is no .{named} file, whatever its name says")
    return found


def unpacked(file: IO[bytes], format: Format) -> Iterator[bytes]:
    """The bytes of all members from the file's position to its end, up to a MiB at a time.

    Raises Damaged on a wrong checksum or length, a missing end, or anything behind the last member.
    """
    size = os.fstat(file.fileno()).st_size
    while file.tell() < size:
        yield from member(file, format)
        _skip_padding(file, format)


def _skip_padding(file: IO[bytes], format: Format) -> None:
    """Zeros that may stand between xz streams, or that a tape leaves behind a gzip file."""
    here = file.tell()
    if format not in (Format.XZ, Format.GZIP) or file.read(1) != b"\0":
        file.seek(here)
        return
    while (block := file.read(CHUNK)) and not block.strip(b"\0"):
        pass
    rest = len(block.lstrip(b"\0"))
    file.seek(-rest, os.SEEK_CUR)
    if format is Format.XZ and (file.tell() - here) % 4:
        raise Damaged("there is something behind its end")  # xz file format, 2.2 Stream Padding


def member(file: IO[bytes], format: Format) -> Iterator[bytes]:
    """The bytes of the member that begins at the file's position, which then is behind it.

    Raises Damaged.
    """
    try:
        match format:
            case Format.GZIP:
                yield from _inflated(file)
            case Format.XZ:
                import lzma

                yield from _fed(file, lzma.LZMADecompressor(lzma.FORMAT_XZ))
            case Format.BZIP2:
                import bz2

                yield from _fed(file, bz2.BZ2Decompressor())
            case Format.ZSTD:
                yield from _zstd_frame(file)
    except Damaged:
        raise
    except (OSError, EOFError, ValueError) as error:
        raise Damaged(str(error)) from None
    except Exception as error:  # zlib.error and its like: each library has its own
        if type(error).__name__ not in ("error", "LZMAError", "ZstdError"):
            raise
        raise Damaged(str(error)) from None


class _Decompressor(Protocol):
    """What lzma and bz2 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _fed(file: IO[bytes], decompressor: _Decompressor) -> Iterator[bytes]:
    while not decompressor.eof:
        block = file.read(CHUNK) if decompressor.needs_input else b""
        if not block and decompressor.needs_input:
            raise Damaged("it is cut short")
        yield decompressor.decompress(block, LARGEST)
    file.seek(-len(decompressor.unused_data), os.SEEK_CUR)


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    """The CRC and the length at a member's end are compared by zlib itself."""
    inflate = zlib.decompressobj(_GZIP)
    block = b""
    while not inflate.eof:
        block = inflate.unconsumed_tail or file.read(CHUNK)
        got = inflate.decompress(block, LARGEST)
        if not block and not got and not inflate.eof:
            raise Damaged("it is cut short")
        yield got
    file.seek(-len(inflate.unused_data), os.SEEK_CUR)


def _zstd_frame(file: IO[bytes]) -> Iterator[bytes]:
    """A frame, block by block (RFC 8878 section 3.1), so that each gives at most 128 KiB.

    The library would unpack all that it is given at once, and take a missing end for an end.
    """
    import zstandard

    magic = _exactly(file, 4)
    if b"\x50\x2a\x4d\x18" <= magic <= b"\x5f\x2a\x4d\x18" and magic[1:] == b"\x2a\x4d\x18":
        file.seek(int.from_bytes(_exactly(file, 4), "little"), os.SEEK_CUR)
        return
    first = _exactly(file, 1)
    descriptor = first[0]
    single = descriptor >> 5 & 1
    length = (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6] + (not single)
    frame = zstandard.ZstdDecompressor().decompressobj()
    frame.decompress(magic + first + _exactly(file, length))
    last = False
    while not last:
        header = _exactly(file, 3)
        low, high = _ZSTD_BLOCK.unpack(header)
        word = high << 16 | low
        last = bool(word & 1)
        size = 1 if word >> 1 & 3 == 1 else word >> 3  # a run is one byte, however long
        yield frame.decompress(header + _exactly(file, size))
    if descriptor & 4:
        yield frame.decompress(_exactly(file, 4))
    if not frame.eof:
        raise Damaged("its last frame has no end")


def _exactly(file: IO[bytes], length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise Damaged("it is cut short")
    return data


def compress(image: Path, map: BlockMap, out: Path, format: Format) -> BlockMap:
    """Write ``out``, the image compressed, and return the map to lay beside it.

    The same image and map give the same bytes. Where the map says FREE, whoever unpacks ``out``
    without the map gets zeros. Nobody needs new .bz2 files: for those raises ConfigError.
    """
    new = _packer(format)
    hole = _packed(new, HOLE)
    ranges = []
    with image.open("rb") as source, out.open("wb") as file:
        for one in map.ranges:
            ranges.append(replace(one, packed=file.tell()))
            if one.kind is Kind.DATA:
                source.seek(one.start)
                _pack(source, one.end - one.start, new(), file)
            else:
                for _ in range((one.end - one.start) // HOLE):
                    file.write(hole)
                if rest := (one.end - one.start) % HOLE:
                    file.write(_packed(new, rest))
        return replace(map, ranges=tuple(ranges), packed=file.tell())


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _packer(format: Format) -> Callable[[], _Packer]:
    match format:
        case Format.GZIP:
            return lambda: zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)
        case Format.XZ:
            import lzma

            return lambda: lzma.LZMACompressor(check=lzma.CHECK_CRC32, preset=XZ_LEVEL)
        case Format.ZSTD:
            import zstandard

            settings = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
            return settings.compressobj
        case Format.BZIP2:
            raise ConfigError("images are compressed as gz, xz or zst, not as bz2")


def _pack(source: IO[bytes], length: int, packer: _Packer, to: IO[bytes]) -> None:
    while length:
        block = _exactly(source, min(length, LARGEST))
        length -= len(block)
        to.write(packer.compress(block))
    to.write(packer.flush())


def _packed(new: Callable[[], _Packer], zeros: int) -> bytes:
    """A member of that many zeros."""
    packer, block = new(), bytes(min(zeros, LARGEST))
    parts = [packer.compress(block) for _ in range(zeros // LARGEST)]
    return b"".join((*parts, packer.compress(bytes(zeros % LARGEST)), packer.flush()))
