"""Compressed bytes inside an image file, unpacked in pieces that a hostile one can't make huge."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator

from rootfs_tool import compressed
from rootfs_tool.compressed import Format
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.imagefile import ImageFile

# What begins a compressed stream; the kernel unpacks these too (lib/decompress.c).
MAGICS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x02\x21\x4c\x18": "lz4",
    b"\x89LZO": "lzo",
    b"\x5d\0\0": "lzma",
}
FORMATS = {"gzip": Format.GZIP, "zstd": Format.ZSTD, "xz": Format.XZ, "bzip2": Format.BZIP2}
XZ_MEMORY = 256 << 20  # bytes; `xz -9` wants 65 MiB


def compression(start: bytes) -> str | None:
    """How what begins with these bytes is compressed; None if it is not."""
    return next((name for magic, name in MAGICS.items() if start.startswith(magic)), None)


class Stream:
    """One compressed stream of an image, unpacked when it is iterated.

    ``end`` is then the byte after it. Raises ConfigError if it is damaged, or compressed in a way
    that is not read here.
    """

    def __init__(self, image: ImageFile, start: int, how: str) -> None:
        self._image = image
        self._how = how
        self.end = start

    def __iter__(self) -> Iterator[bytes]:
        if self._how not in FORMATS:
            raise ConfigError(
                f"{self._image.path} is compressed with {self._how}, which is not read here"
            )
        with self._image.path.open("rb") as file:
            file.seek(self._image.offset + self.end)
            try:
                yield from compressed.member(file, FORMATS[self._how])
            except compressed.Damaged as error:
                raise ConfigError(f"{self._image.path}: its {self._how}: {error}") from None
            self.end = file.tell() - self._image.offset


def block(data: bytes, how: str, most: int) -> bytes | None:
    """What was compressed as a block, "zlib", "xz" or "zstd", of at most ``most`` bytes.

    None if it is damaged or more than that.
    """
    try:
        match how:
            case "zlib":
                return zlib.decompressobj().decompress(data, most)
            case "xz":
                return lzma.LZMADecompressor(memlimit=XZ_MEMORY).decompress(data, most)
            case _:
                return _zstd_block(data, most)
    except (zlib.error, lzma.LZMAError):
        return None


def _zstd_block(data: bytes, most: int) -> bytes | None:
    import zstandard

    try:
        size = zstandard.get_frame_parameters(data).content_size
        if most < size != zstandard.CONTENTSIZE_UNKNOWN:  # it would be allocated
            return None
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=most)
    except zstandard.ZstdError:
        return None
