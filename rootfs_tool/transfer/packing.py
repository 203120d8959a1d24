"""A file as it passes the line: as it is, or as small as the board can unpack it."""

from __future__ import annotations

import gzip
import lzma
import zlib
from dataclasses import dataclass

# Bytes that unxz keeps in memory to unpack: what a board with 16 MiB can spare.
DICTIONARY = 1 << 20
_WORTH = 0.97  # of its size, above which a file is not worth the board's time


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """``unpack`` is the board's command, from stdin to stdout; none for a file as it is."""

    name: str
    data: bytes
    unpack: str | None


def packings(content: bytes, applets: frozenset[str]) -> list[Packing]:
    """The ways to send ``content`` to a board that has ``applets``, the smallest first."""
    plain = Packing(name="plain", data=content, unpack=None)
    if len(zlib.compress(content, 1)) > _WORTH * len(content):
        return [plain]
    ways = [plain]
    if "gunzip" in applets:
        data = gzip.compress(content, 9, mtime=0)
        ways.append(Packing(name="gzip", data=data, unpack="gunzip -c"))
    if "unxz" in applets:
        ways.append(Packing(name="xz", data=_xz(content), unpack="unxz -c"))
    return sorted(ways, key=lambda way: len(way.data))


def _xz(content: bytes) -> bytes:
    # CRC32 is the one check that every decoder of a kernel or a BusyBox knows (xz-embedded).
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": DICTIONARY}]
    return lzma.compress(content, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)
