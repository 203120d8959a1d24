"""What is in an image, as a person reads it: files like ``ls -l``, partitions as a table."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.opened import Volume

UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_of(size: int) -> str:
    """A size with its unit, of 1000, and three digits: "17.4 MB"."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.{0 if unit == 0 or value >= 99.95 else 1}f} {UNITS[unit]}"


def partitions(volumes: Iterable[Volume]) -> list[str]:
    """A line for each partition, under a heading."""
    rows = [("partition", "start", "size", "type", "holds", "label", "")]
    for volume in volumes:
        one = volume.partition
        if one is None:
            continue
        size = bytes_of(one.size)
        bootable = "bootable" if one.bootable else ""
        label = volume.label
        rows.append(
            (volume.prefix, str(one.start), size, one.type, volume.kind or "-", label, bootable)
        )
    return columns(rows, right=(1, 2))


def names(entries: Iterable[tuple[str, Entry]], *, long: bool) -> Iterator[str]:
    """A line for each path and its entry; ``long`` is like that of ``ls -ln``, times in UTC.

    A mode is followed by "@" if the file has extended attributes.
    """
    if not long:
        yield from (path for path, _ in entries)
        return
    rows = []
    for path, entry in entries:
        device = stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode)
        mode = stat.filemode(entry.mode) + "@" * bool(entry.xattrs)
        size = f"{entry.major}, {entry.minor}" if device else str(entry.size)
        named = f"{path} -> {entry.to}" if stat.S_ISLNK(entry.mode) else path
        rows.append((mode, str(entry.uid), str(entry.gid), size, _time(entry.mtime), named))
    yield from columns(rows, right=(1, 2, 3))


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Rows as lines, each column as wide as its widest but for the last one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1:] = [0]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip(" "))
    return lines


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # a year that the calendar has not
        return str(seconds)
