"""What the kernel has made of a disk or its partitions: LVM, encryption, RAID, loop devices."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.flash import block
from rootfs_tool.flash.block import Block

# how a device-mapper UUID begins -> what the device is, by the program that made it
_MAPPED = {"LVM-": "LVM", "CRYPT-": "encryption", "mpath-": "multipath"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A device that lies on the disk; ``release`` is the command line that takes it away."""

    device: str
    kind: str
    release: str


def of(disk: Block, sys: Path = block.SYS) -> tuple[Holder, ...]:
    """Those of a disk, the topmost first, as they would have to be released."""
    found = [_holder(one) for one in disk.stacked()]
    rdevs = {one.rdev for one in (disk, *disk.partitions(), *disk.stacked())}
    return tuple(dict.fromkeys((*_loops(rdevs, sys), *found)))


def _holder(one: Block) -> Holder:
    name, uuid = one.text("dm/name"), one.text("dm/uuid")
    if name:
        kind = next((kind for start, kind in _MAPPED.items() if uuid.startswith(start)), "dm")
        release = {
            "LVM": f"vgchange --activate n {shlex.quote(_group(name))}",
            "encryption": f"cryptsetup close {shlex.quote(name)}",
        }.get(kind, f"dmsetup remove {shlex.quote(name)}")
        return Holder(device=f"/dev/mapper/{name}", kind=kind, release=release)
    if level := one.text("md/level"):
        device = f"/dev/{one.name}"
        return Holder(device=device, kind=f"md {level}", release=f"mdadm --stop {device}")
    return Holder(device=f"/dev/{one.name}", kind="", release="")


def _group(name: str) -> str:
    """LVM joins group and volume by a hyphen, and doubles those in their names (lvm(8))."""
    return re.split(r"(?<!-)-(?!-)", name)[0].replace("--", "-")


def _loops(rdevs: set[int], sys: Path) -> Iterator[Holder]:
    """Loop devices over a device, not a file: the kernel doesn't count them among its holders."""
    for disk in block.disks(sys):
        file = disk.text("loop/backing_file")
        with suppress(OSError):
            status = Path(file).stat()
            if file and stat.S_ISBLK(status.st_mode) and status.st_rdev in rdevs:
                device = f"/dev/{disk.name}"
                yield Holder(device=device, kind="loop", release=f"losetup --detach {device}")
