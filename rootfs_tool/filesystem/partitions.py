"""The partition table of an image: MBR with its logical partitions, and GPT."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.imagefile import ImageFile

SECTOR = 512  # bytes; all that an SD card knows
TABLE = 446  # where the four entries of an MBR or of a link in a chain begin
EXTENDED = {0x05, 0x0F, 0x85}
PROTECTIVE = 0xEE
MAX_LOGICAL = 128  # more is a chain that runs in a circle
MAX_GPT = 1 << 20  # bytes of a GPT's entries that we are willing to read


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """``start`` and ``size`` are in bytes; ``number`` is the one that Linux gives it.

    ``type`` is "0x0c" or the like in an MBR, a GUID in lower case in a GPT; ``uuid`` is what
    ``root=PARTUUID=`` takes. Only a GPT has labels.
    """

    number: int
    start: int
    size: int
    type: str
    uuid: str
    label: str = ""
    bootable: bool = False


def partitions(image: Path) -> tuple[Partition, ...]:
    """The partitions of an image file or disk, by number; () if it has no table.

    UEFI specification 2.10, chapter 5, for GPT; the primary one counts. Raises ConfigError if the
    table is damaged or a partition is not all in the image.
    """
    file = ImageFile(image)
    found = tuple(_partitions(file))
    for one in found:
        if one.start + one.size > file.size:
            raise ConfigError(
                f"{image} is cut short: partition {one.number} ends at byte "
                f"{one.start + one.size}, the image at {file.size}"
            )
    return found


def _partitions(file: ImageFile) -> Iterator[Partition]:
    first = file.some(0, SECTOR)
    entries = _entries(first)
    if not entries or _is_fat(first):
        return
    if any(entry.type == PROTECTIVE for entry in entries):
        yield from _gpt(file)
        return
    signature = int.from_bytes(first[440:444], "little")
    logical = 5
    for number, entry in enumerate(entries, start=1):
        if entry.type:
            yield _mbr(number, entry, signature)
    for entry in entries:
        if entry.type in EXTENDED:
            for inner in _logical(file, entry.start):
                yield _mbr(logical, inner, signature)
                logical += 1


@dataclass(frozen=True, slots=True)
class _Entry:
    """One of an MBR's four: ``start`` and ``size`` in bytes, ``start`` from the disk's."""

    bootable: bool
    type: int
    start: int
    size: int


def _entries(sector: bytes, base: int = 0) -> list[_Entry]:
    """The four entries of a table; [] if this is none."""
    if sector[510:512] != b"\x55\xaa":
        return []
    found = []
    for at in range(TABLE, 510, 16):
        flag, type, start, size = struct.unpack("<B3xB3xII", sector[at : at + 16])
        if flag not in (0, 0x80):
            return []
        found.append(_Entry(flag == 0x80, type, base + start * SECTOR, size * SECTOR))
    return found


def _is_fat(sector: bytes) -> bool:
    """Whether it is the boot sector of a FAT file system, which has a table's mark too."""
    return sector[54:57] == b"FAT" or sector[82:87] == b"FAT32"


def _logical(file: ImageFile, extended: int) -> Iterator[_Entry]:
    """A chain of sectors, each with a partition and the place of the next, from the extended's."""
    at = extended
    for _ in range(MAX_LOGICAL):
        sector = file.at(at, SECTOR)
        inner = _entries(sector, at)
        if not inner:
            raise _damage(file, f"the chain of logical partitions breaks at byte {at}")
        if inner[0].type:
            yield inner[0]
        if not inner[1].type:
            return
        at = _entries(sector, extended)[1].start
    raise _damage(file, "the chain of logical partitions does not end")


def _mbr(number: int, entry: _Entry, signature: int) -> Partition:
    return Partition(
        number=number,
        start=entry.start,
        size=entry.size,
        type=f"0x{entry.type:02x}",
        uuid=f"{signature:08x}-{number:02x}",
        bootable=entry.bootable,
    )


def _gpt(file: ImageFile) -> Iterator[Partition]:
    header = file.at(SECTOR, SECTOR)
    magic, length, checksum, table, count, step, entries_checksum = struct.unpack(
        "<8s4xII52xQIII", header[:92]
    )
    if magic != b"EFI PART" or not 92 <= length <= SECTOR:
        raise _damage(file, "there is no GPT where the MBR says that there is one")
    if zlib.crc32(header[:16] + bytes(4) + header[20:length]) != checksum:
        raise _damage(file, "the GPT's header does not have its checksum")
    if step < 128 or count * step > MAX_GPT:
        raise _damage(file, f"a GPT of {count} entries of {step} bytes")
    raw = file.at(table * SECTOR, count * step)
    if zlib.crc32(raw) != entries_checksum:
        raise _damage(file, "the GPT's entries do not have their checksum")
    for number in range(1, count + 1):
        entry = raw[(number - 1) * step : number * step]
        type, guid, first, last, flags = struct.unpack("<16s16sQQQ", entry[:56])
        if any(type):
            yield Partition(
                number=number,
                start=first * SECTOR,
                size=(last + 1 - first) * SECTOR,
                type=str(uuid.UUID(bytes_le=type)),
                uuid=str(uuid.UUID(bytes_le=guid)),
                label=entry[56:128].decode("utf-16-le", "replace").split("\0", 1)[0],
                bootable=bool(flags & 4),
            )


def _damage(file: ImageFile, what: str) -> ConfigError:
    return ConfigError(f"{file.path}: {what}")
