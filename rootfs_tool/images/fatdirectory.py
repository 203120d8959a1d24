"""What a directory of a FAT holds: records with long names, short names, times and places."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.fat import LONG, short_checksum

LONGEST = 255  # UTF-16 units of a name
PER_RECORD = 13  # UTF-16 units of a long name that one record holds

FORBIDDEN = frozenset('"*/:<>?\\|') | {chr(n) for n in range(32)} | {"\x7f"}
SHORT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")


EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
LATEST = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)

# date and time as a record has them
Stamp = tuple[int, int]


def check(path: PurePosixPath) -> None:
    """Raises ConfigError if a FAT can't hold the name that a path ends in."""
    name = path.name
    if wrong := sorted(FORBIDDEN.intersection(name)):
        raise ConfigError(f"{path} has {wrong[0]!r} in its name, which a FAT can't hold")
    if name.endswith((".", " ")):
        raise ConfigError(f"{path} ends in {name[-1]!r}, which a FAT can't hold")
    try:
        units = len(name.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise ConfigError(f"{path} is not UTF-8, so a FAT can't hold its name") from None
    if units > LONGEST:
        raise ConfigError(f"{path} has a longer name than a FAT can hold ({LONGEST} letters)")


def short_names(paths: Sequence[PurePosixPath]) -> list[bytes]:
    """The name of eight letters and three for each path of a directory, all different.

    Raises ConfigError naming two that are one name to a FAT.
    """
    seen: dict[str, PurePosixPath] = {}
    for path in paths:
        other = seen.setdefault(path.name.lower(), path)
        if other != path:
            raise ConfigError(f"{other} and {path} differ only in case: one name to a FAT")
    given = {name for path in paths if (name := _as_it_is(path.name))}
    counts: dict[tuple[str, str], int] = {}
    names = []
    for path in paths:
        name = _as_it_is(path.name)
        while not name:
            base, extension = _squeezed(path.name)
            number = counts.get((base, extension), 0) + 1
            counts[base, extension] = number
            tail = f"~{number}"
            tried = _padded(base[: 8 - len(tail)] + tail, extension)
            if tried not in given:
                given.add(tried)
                name = tried
        names.append(name)
    return names


def _as_it_is(name: str) -> bytes | None:
    """The short name that differs from ``name`` at most in case, if there is one."""
    base, dot, extension = name.upper().partition(".")
    if (
        not name.isascii()
        or not 1 <= len(base) <= 8
        or len(extension) > 3
        or (dot and not extension)
    ):
        return None
    return _padded(base, extension) if SHORT.issuperset(base + extension) else None


def _squeezed(name: str) -> tuple[str, str]:
    """The letters of a name that may stand in a short one, before and after the last dot."""
    base, dot, extension = name.lstrip(".").upper().rpartition(".")
    if not dot:
        base, extension = extension, ""
    kept = [
        "".join(c if c in SHORT else "_" for c in part if c not in ". ")
        for part in (base, extension)
    ]
    return kept[0][:6], kept[1][:3]


def _padded(base: str, extension: str) -> bytes:
    return f"{base:8}{extension:3}".encode("ascii")


def long_count(name: str, short: bytes) -> int:
    """How many records a name needs before its short one: none if that says it all."""
    base, extension = short[:8].decode().rstrip(), short[8:].decode().rstrip()
    if name == (f"{base}.{extension}" if extension else base):
        return 0
    return -(-len(name.encode("utf-16-le")) // (2 * PER_RECORD))


def long_records(name: str, short: bytes) -> Iterator[bytes]:
    """The records of a long name, its end first."""
    count = long_count(name, short)
    units = name.encode("utf-16-le")
    if len(units) < count * PER_RECORD * 2:
        units += b"\0\0"
    units = units.ljust(count * PER_RECORD * 2, b"\xff")
    for number in range(count, 0, -1):
        part = units[(number - 1) * PER_RECORD * 2 : number * PER_RECORD * 2]
        order = number | (0x40 if number == count else 0)
        checksum = short_checksum(short)
        yield struct.pack(
            "<B10sBBB12sH4s", order, part[:10], LONG, 0, checksum, part[10:22], 0, part[22:]
        )


def record(name: bytes, attributes: int, stamp: Stamp, first: int = 0, size: int = 0) -> bytes:
    """One entry: the first cluster of its bytes and how many they are, 0 for a directory's."""
    date, time = stamp
    return struct.pack(
        "<11sBxBHHHHHHHI",
        name,
        attributes,
        0,
        time,
        date,
        date,
        first >> 16,
        time,
        date,
        first & 0xFFFF,
        size,
    )


def stamp(epoch: int) -> Stamp:
    """Seconds since 1970 as a UTC, to two seconds, the nearest between 1980 and 2107."""
    when = datetime.fromtimestamp(epoch, UTC)
    when = min(max(when, EARLIEST), LATEST)
    date = (when.year - 1980) << 9 | when.month << 5 | when.day
    return date, when.hour << 11 | when.minute << 5 | when.second // 2
