"""An SD card in one sparse file: partition table, boot partition, and what / may need beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from rootfs_tool.blockmap import BlockMap
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.ext4 import Ext4
from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.images import cardmap, ext4, fat, partitiontable, squashfs
from rootfs_tool.images.base import Contents, Root
from rootfs_tool.images.partitiontable import Part
from rootfs_tool.tree import Directory, Tree

Table = Literal["mbr", "gpt"]

MIB = 1 << 20
# An SD card erases up to 4 MiB at once: no two partitions share what is erased together.
ALIGNMENT = 4 * MIB

BOOT_SPARE = 25  # percent that files on the board may grow by, unless boot-size says another size

# The same on every card, because the kernel's command line on the card names them.
SIGNATURE = 0x72667374
DISK = uuid.uuid5(uuid.NAMESPACE_URL, "rootfs-tool:sdcard")
ROOT_UUID = uuid.uuid5(DISK, "rootfs")
DATA_UUID = uuid.uuid5(DISK, "data")

# What programs look at to tell what a disk or partition holds, all of which must not be an old
# card's: the places of superblocks, of RAID and LVM marks, of a GPT and its copy at the end.
HEAD, TAIL = MIB, MIB
BEFORE, AFTER = 64 << 10, 128 << 10


@dataclass(frozen=True, slots=True)
class _Written:
    """A partition that is in the image; ``used`` is what its file system needs, (start, end)."""

    part: Part
    used: Iterable[cardmap.Span]


def write(
    contents: Contents,
    out: Path,
    *,
    epoch: int,
    table: Table,
    boot_size: int | None,
    root_size: int | None,
    data_size: int,
) -> BlockMap:
    """Write the image of a card with the partitions that ``contents.root`` asks for.

    Sizes are in MiB, rounded up to 4; None is what is needed, and 0 is no data partition. Raises
    ConfigError naming what does not fit, and what it needs.
    """
    _check_use(contents.root, root_size, data_size)
    spare = BOOT_SPARE if boot_size is None else 0
    size = _size("boot-size", boot_size, fat.needed(contents.boot, spare=spare))
    boot = Part(start=ALIGNMENT, size=size, label="boot", boot=True)
    with out.open("wb") as file:
        file.truncate(boot.start + boot.size)
    with ThreadPoolExecutor(1) as beside:
        fat_written = beside.submit(
            fat.write,
            contents.boot,
            out,
            offset=boot.start,
            size=boot.size,
            epoch=epoch,
            label="BOOT",
            serial=SIGNATURE,
        )
        after = boot.start + boot.size
        rest = list(_rest(contents, out, after, epoch, root_size=root_size, data_size=data_size))
        fat_written.result()
    written = [_Written(boot, Fat(out, boot.start).used()), *rest]
    pieces = _finish(out, [one.part for one in written], table)
    return cardmap.block_map(out, _used(written, pieces, out.stat().st_size))


def _check_use(root: Root, root_size: int | None, data_size: int) -> None:
    for key, idle, use in (
        ("root-size", root_size is not None and root is Root.RAM, '"card" or "overlay"'),
        ("data-size", data_size and root is not Root.OVERLAY, '"overlay"'),
    ):
        if idle:
            raise ConfigError(
                f'{key} is for root = {use}, not for root = "{root}"', hint=f"leave out {key}"
            )


def _rest(
    contents: Contents,
    out: Path,
    start: int,
    epoch: int,
    *,
    root_size: int | None,
    data_size: int,
) -> Iterator[_Written]:
    """What comes after the boot partition, from the byte ``start``."""
    match contents.root:
        case Root.RAM:
            return
        case Root.CARD:
            least = ext4.LEAST * MIB  # whether the tree fits too is seen when it is written
            needs = ext4.needed(contents.rootfs) if root_size is None else least
            size = _size("root-size", root_size, needs)
            part = Part(start=start, size=size, label="rootfs")
            yield _ext4(contents.rootfs, out, part, epoch, ROOT_UUID)
        case Root.OVERLAY:
            length = squashfs.write(contents.rootfs, out, offset=start, epoch=epoch)
            part = Part(start=start, size=_size("root-size", root_size, length), label="rootfs")
            yield _Written(part, [(start, start + length)])
            if data_size:
                empty = Tree()
                empty.add("/", Directory(), origin="the image")
                size = _size("data-size", data_size, ext4.LEAST * MIB)
                part = Part(start=start + part.size, size=size, label="data")
                yield _ext4(empty, out, part, epoch, DATA_UUID)


def _finish(out: Path, parts: Sequence[Part], table: Table) -> partitiontable.Pieces:
    """Give the image its size and its table, of which the pieces are returned."""
    size = parts[-1].start + parts[-1].size
    if table == "gpt":
        size += TAIL
        pieces = partitiontable.gpt(parts, DISK, size)
    elif size > partitiontable.LARGEST_MBR:
        raise ConfigError("the card is larger than an MBR can tell", hint='table = "gpt"')
    else:
        pieces = partitiontable.mbr(parts, SIGNATURE)
    with out.open("r+b") as file:
        file.truncate(size)
        for at, piece in pieces:
            file.seek(at)
            file.write(piece)
    return pieces


def _size(key: str, said: int | None, needs: int) -> int:
    """Bytes of a partition: MiB that somebody ``said``, or the bytes that it ``needs``."""
    if said is not None and said * MIB < needs:
        least = -(-needs // MIB)
        raise ConfigError(
            f"{key} is {said} MiB, but {least} MiB are needed", hint=f"{key} = {least}"
        )
    size = needs if said is None else said * MIB
    return -(-size // ALIGNMENT) * ALIGNMENT


def _ext4(tree: Tree, out: Path, part: Part, epoch: int, id: UUID) -> _Written:
    with out.open("r+b") as file:
        file.truncate(part.start + part.size)
    ext4.write(
        *(tree, out),
        offset=part.start,
        size=part.size,
        epoch=epoch,
        label=part.label,
        uuid=id,
        key="root-size",
    )
    return _Written(part, Ext4(out, part.start).used())


def _used(
    written: Sequence[_Written], pieces: partitiontable.Pieces, size: int
) -> Iterator[cardmap.Span]:
    """All that is not free: file systems, table, and where an old card's marks could be seen."""
    yield 0, HEAD
    yield size - TAIL, size
    for at, piece in pieces:
        yield at, at + len(piece)
    for one in written:
        start, end = one.part.start, one.part.start + one.part.size
        yield start - BEFORE, start + AFTER
        yield end - BEFORE, end
        yield from one.used
