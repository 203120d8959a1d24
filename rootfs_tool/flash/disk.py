"""What a person should know of a disk before it is written over, and which disks are cards."""

from __future__ import annotations

import difflib
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.errors import DeviceError
from rootfs_tool.flash import block, contents, holders, mounts
from rootfs_tool.flash.block import Block
from rootfs_tool.flash.contents import Contents
from rootfs_tool.flash.holders import Holder

_LIST = "rootfs-tool flash --list shows the cards of this host"
_CARDS = ("usb", "mmc")  # the transports of what is taken out and put in
# removable or MMC too, but an optical drive, a floppy, and what an eMMC boots from
_NO_CARDS = re.compile(r"sr\d+|fd\d+|mmcblk\d+(boot\d+|rpmb)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """``start`` and ``size`` are in bytes."""

    device: str
    number: int
    start: int
    size: int
    contents: Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A whole disk; ``path`` is as it was asked for, ``device`` has every link followed.

    ``rdev`` is its number, as in stat(2), ``size`` in bytes. ``sequence`` tells two cards apart
    that were in one reader (sysfs-block: diskseq). ``rdevs`` are the numbers of all that lies on
    it, partitions and what is stacked on them; ``mounts`` and ``swaps`` are theirs.
    """

    path: Path
    device: Path
    rdev: int
    sequence: str
    size: int
    model: str
    serial: str
    transport: str
    removable: bool
    readonly: bool
    contents: Contents
    partitions: tuple[Partition, ...]
    rdevs: frozenset[int]
    mounts: tuple[str, ...]
    swaps: tuple[str, ...]
    holders: tuple[Holder, ...]

    def __str__(self) -> str:
        """Such as "/dev/sdb (SanDisk Ultra, 31.9 GB)"."""
        return f"{self.device} ({', '.join(filter(None, (self.model, in_words(self.size))))})"

    @property
    def is_card(self) -> bool:
        """Whether it is made to be taken out of this computer."""
        return self.removable or self.transport in _CARDS


def inspect(path: Path) -> Disk:
    """The disk at ``path``, which is only looked at. Raises DeviceError if it is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise DeviceError(f"{path}: there is no such device", hint=_meant(path)) from None
    except OSError as error:
        raise DeviceError(f"{path}: {error.strerror}", hint=_LIST) from None
    if not stat.S_ISBLK(status.st_mode):
        raise DeviceError(f"{path} is {_kind(status)}, not a disk", hint=_LIST)
    try:
        found = block.find(status.st_rdev)
        disk = _disk(path, found.disk)
    except OSError:
        raise DeviceError(f"{path}: the kernel has no such device (any more)", hint=_LIST) from None
    if found.number:
        raise DeviceError(
            f"{path} is partition {found.number} of {disk}",
            hint=f"an image is for a whole disk: {disk.device}",
        )
    return disk


def cards() -> tuple[Disk, ...]:
    """The disks that are removable, or on USB or MMC, with a card in, and not this system's."""
    found = []
    for one in block.disks():
        if one.size and not _NO_CARDS.fullmatch(one.name):
            with suppress(OSError):  # it has just been pulled out
                found.append(_disk(Path("/dev", one.name), one))
    return tuple(one for one in found if one.is_card and not system_mounts(one))


def system_mounts(disk: Disk) -> tuple[str, ...]:
    """Which parts of the running system are on it."""
    parts = ("/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home")
    return tuple(part for part in parts if part in disk.mounts)


def in_words(size: int) -> str:
    """A size in bytes with the unit that is printed on a card."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def _disk(path: Path, found: Block) -> Disk:
    device = Path("/dev", found.name)
    stacked = {one.rdev for one in (found, *found.partitions(), *found.stacked())}
    swaps = mounts.swaps()
    return Disk(
        path=path,
        device=device,
        rdev=found.rdev,
        sequence=found.text("diskseq"),
        size=found.size,
        model=found.model,
        serial=found.serial,
        transport=found.transport,
        removable=found.text("removable") == "1",
        readonly=found.text("ro") == "1",
        contents=contents.read(device) if found.size else Contents(),
        partitions=tuple(_partition(one) for one in found.partitions()),
        rdevs=frozenset(stacked),
        mounts=_mounted(stacked),
        swaps=tuple(path for rdev, path in swaps.items() if rdev in stacked),
        holders=holders.of(found),
    )


def _partition(one: Block) -> Partition:
    device = f"/dev/{one.name}"
    return Partition(
        device=device,
        number=one.number,
        start=one.start,
        size=one.size,
        contents=contents.read(Path(device)),
    )


def _mounted(rdevs: set[int]) -> tuple[str, ...]:
    """Where they are mounted, for us or, if we may know it, for the system's first process."""
    points = [mount.point for mount in mounts.mounts() if mount.rdevs & rdevs]
    try:
        others = mounts.mounts(1)
    except OSError:
        others = ()
    points += [mount.point for mount in others if mount.rdevs & rdevs]
    return tuple(dict.fromkeys(points))


def _kind(status: os.stat_result) -> str:
    mode = status.st_mode
    for test, kind in (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISCHR, "a character device"),
    ):
        if test(mode):
            return kind
    return "something else"


def _meant(path: Path) -> str:
    """What to do about a path that isn't there."""
    close = difflib.get_close_matches(str(path), [str(disk.device) for disk in cards()], 1)
    return f"did you mean {close[0]}?" if close else _LIST
