"""How a disk is shown: before it is written, and in the list of this host's cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rootfs_tool.flash import refuse
from rootfs_tool.flash.contents import Contents
from rootfs_tool.flash.disk import Disk, cards, in_words
from rootfs_tool.flash.source import Source

# bytes per second of a common card, for the time that is told before it is known
WRITE, READ = 20e6, 80e6
FETCH = 8e6  # the same for a board on Ethernet of 100 Mbit/s


def plan(disk: Disk, source: Source, *, on_board: bool = False) -> Iterator[str]:
    """What is lost and what is written, for a person to say yes to."""
    facts = (str(disk), disk.serial and f"serial {disk.serial}", disk.transport)
    yield ", ".join(filter(None, (*facts, "removable" if disk.removable else "")))
    yield "  will lose:"
    for row in _rows(disk):
        yield f"    {row}"
    yield "  will get:"
    seconds = source.data / (FETCH if on_board else WRITE) + source.data / READ
    where = f" (by {source.origin})" if source.origin else ""
    yield f"    {source.path}: {in_words(source.data)} of {in_words(source.size)}{where}"
    if source.format is None and not _starts(source.path):
        yield "    note: it has neither a partition table nor a FAT; no board starts from that"
    how = "over its network" if on_board else "on a common card"
    yield f"    some {max(seconds, 1):.0f} s {how}, reading it back included"


def _starts(image: Path) -> bool:
    """Whether the first sector ends as those that a firmware looks for (0x55, 0xaa)."""
    with image.open("rb") as file:
        return file.read(512)[510:] == b"\x55\xaa"


def _rows(disk: Disk) -> Iterator[str]:
    if not disk.partitions:
        yield _in_short(disk.contents) or "nothing that is known"
    for one in disk.partitions:
        yield f"{one.number}  {in_words(one.size):>9}  {_in_short(one.contents) or 'unknown'}"


def _in_short(contents: Contents) -> str:
    """Such as ``vfat "BOOTFS"``."""
    if not contents.filesystem and contents.table:
        return f"a {contents.table} partition table"
    return f"{contents.filesystem} {json.dumps(contents.label) if contents.label else ''}".strip()


def show_list(*, as_json: bool) -> None:
    """Print every card, and what stands against writing it now."""
    found = cards()
    why = [next((str(error) for error in refuse.reasons(one)), None) for one in found]
    if as_json:
        rows = [_table(one, reason) for one, reason in zip(found, why, strict=True)]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("no card is in this host: nothing removable, on USB or MMC", err=True)
    for one, reason in zip(found, why, strict=True):
        holds = ", ".join(_in_short(part.contents) or "unknown" for part in one.partitions)
        cells = (
            f"{one.device!s:14}  {in_words(one.size):>9}  {one.transport:6}  {one.model}",
            one.serial and f"serial {one.serial}",
            holds or _in_short(one.contents),
        )
        click.echo("; ".join(filter(None, cells)))
        if reason is not None:
            click.echo(f"    not now: {reason}")


def _table(disk: Disk, reason: str | None) -> dict[str, Any]:
    """A card for another program; ``refused`` is null if it can be written."""
    return {
        "device": str(disk.device),
        "size": disk.size,
        "model": disk.model,
        "serial": disk.serial,
        "transport": disk.transport,
        "removable": disk.removable,
        "mounts": disk.mounts,
        "partitions": [asdict(one) for one in disk.partitions],
        "refused": reason,
    }
