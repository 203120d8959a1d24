"""The partition table of a card: MBR or GPT, as bytes and where they go."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

SECTOR = 512
LARGEST_MBR = (1 << 32) * SECTOR  # bytes that its 32-bit numbers reach
ENTRIES = 128  # of a GPT, of 128 bytes each: UEFI asks for no fewer
ENTRY_SECTORS = ENTRIES * 128 // SECTOR
GPT_SECTORS = ENTRY_SECTORS + 1  # of the copy at the end: entries, then header

FAT32_LBA, LINUX = 0x0C, 0x83
# The Pi's firmware takes this one for its FAT on every model that knows GPT; the EFI system
# partition only since later releases of its EEPROM.
BASIC_DATA = UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
LINUX_DATA = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")

Pieces = list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """``start`` and ``size`` are in bytes, multiples of 512; a GPT also keeps the ``label``."""

    start: int
    size: int
    label: str
    boot: bool = False


def mbr(parts: Sequence[Part], signature: int) -> Pieces:
    """What to write where, as (offset, bytes), for at most four partitions.

    ``signature`` is 32 bits that tell this disk from others: "root=PARTUUID=" takes it, with "-02"
    behind it for the second partition.
    """
    entries = b"".join(
        _mbr_entry(
            0x80 if part.boot else 0,
            FAT32_LBA if part.boot else LINUX,
            part.start // SECTOR,
            part.size // SECTOR,
        )
        for part in parts
    )
    return [(0, _mbr(entries, signature))]


def gpt(parts: Sequence[Part], disk: UUID, size: int) -> Pieces:
    """What to write where, as (offset, bytes), on a disk of ``size`` bytes.

    The UEFI specification 2.10, chapter 5. The partitions' own ids come from that of the ``disk``:
    ``partition_id``.
    """
    last = size // SECTOR - 1
    entries = b"".join(
        struct.pack(
            "<16s16sQQQ72s",
            (BASIC_DATA if part.boot else LINUX_DATA).bytes_le,
            partition_id(disk, number).bytes_le,
            part.start // SECTOR,
            (part.start + part.size) // SECTOR - 1,
            0,
            part.label.encode("utf-16-le"),
        )
        for number, part in enumerate(parts, start=1)
    ).ljust(ENTRIES * 128, b"\0")
    protective = _mbr(_mbr_entry(0, 0xEE, 1, min(last, 0xFFFFFFFF)), 0)
    first = _gpt_header(disk, entries, here=1, other=last, table=2)
    copy = _gpt_header(disk, entries, here=last, other=1, table=last - ENTRY_SECTORS)
    return [(0, protective + first + entries), ((last - ENTRY_SECTORS) * SECTOR, entries + copy)]


def partition_id(disk: UUID, number: int) -> UUID:
    """The GPT's id of a partition, which "root=PARTUUID=" takes too."""
    return uuid.uuid5(disk, str(number))


def _mbr(entries: bytes, signature: int) -> bytes:
    return bytes(440) + struct.pack("<IH", signature, 0) + entries.ljust(64, b"\0") + b"\x55\xaa"


def _mbr_entry(flag: int, type: int, start: int, count: int) -> bytes:
    ends = [_cylinder(sector) for sector in (start, start + count - 1)]
    return struct.pack("<B3sB3sII", flag, ends[0], type, ends[1], start, count)


def _cylinder(sector: int) -> bytes:
    """Head, sector and cylinder of a disk that has 255 and 63 of the former; a mark if too far."""
    cylinder, rest = divmod(sector, 255 * 63)
    if cylinder > 1023:
        return b"\xfe\xff\xff"
    head, within = divmod(rest, 63)
    return bytes((head, within + 1 | cylinder >> 8 << 6, cylinder & 0xFF))


def _gpt_header(disk: UUID, entries: bytes, *, here: int, other: int, table: int) -> bytes:
    """A header for the sector ``here``; the first and the last one name each other."""
    first_usable, last_usable = 2 + ENTRY_SECTORS, max(here, other) - GPT_SECTORS
    after = struct.pack(
        "<4xQQQQ16sQIII",
        here,
        other,
        first_usable,
        last_usable,
        disk.bytes_le,
        table,
        ENTRIES,
        128,
        zlib.crc32(entries),
    )
    before = struct.pack("<8sII", b"EFI PART", 0x10000, 92)
    checksum = zlib.crc32(before + bytes(4) + after)
    return (before + checksum.to_bytes(4, "little") + after).ljust(SECTOR, b"\0")
