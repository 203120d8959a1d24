"""A disk of a board that is alive: what its own kernel says of it, and why it is not written."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rootfs_tool.errors import ConfigError, DeviceError
from rootfs_tool.flash import refuse
from rootfs_tool.flash.block import SECTOR
from rootfs_tool.flash.contents import Contents
from rootfs_tool.flash.disk import Disk, Partition, in_words
from rootfs_tool.printable import printable
from rootfs_tool.shell import Shell

_NAME = re.compile(r"(?:/dev/)?([A-Za-z][A-Za-z0-9]{1,30})")
_IN_RAM = 'start it from a build with root = "ram", whose / is in RAM'

# Every line of the answer begins with what it is about. To read the partition table anew is the
# kernel's own test for a disk that is in use, as O_EXCL is here: it fails with EBUSY, also for what
# is mounted where nobody sees it, such as the squashfs below an overlay.
_ASK = r"""
for need in blockdev dd sha256sum timeout tftp; do
    type $need >/dev/null 2>&1 || echo "lacks $need"
done
some=$(printf abcd | dd bs=2 count=3 iflag=fullblock,count_bytes status=none 2>&1)
[ "$some" = abc ] || echo "lacks dd with iflag=count_bytes"
(set -o pipefail) 2>/dev/null || echo "lacks a shell with pipefail"
cd /sys/block || exit
for one in *; do
    [ ! -e $one/device ] || echo "other $one $(cat $one/size)"
done
[ -d $disk ] && [ -b /dev/$disk ] || exit 0
echo "busy $(blockdev --rereadpt /dev/$disk 2>&1)"
for file in dev size ro removable diskseq serial device/name device/model device/serial; do
    echo "$file $(cat $disk/$file 2>/dev/null)"
done
for part in $disk/*/partition; do
    [ -e $part ] || continue
    part=${part%/*}
    echo "part ${part#*/} $(cat $part/partition $part/start $part/size $part/dev | tr '\n' ' ')"
done
while read -r line; do echo "mount $line"; done </proc/self/mountinfo
while read -r line; do echo "swap $line"; done </proc/swaps
exit 0
"""


def inspect(shell: Shell, device: str, *, needs: int = 0) -> Disk:
    """The disk that the board calls ``device``, which is only looked at.

    Raises DeviceError for the first reason not to write an image of ``needs`` bytes to it, and
    ConfigError if that is no disk's name.
    """
    match = _NAME.fullmatch(device)
    if match is None:
        raise ConfigError(f"{device} is no disk's name on a board", hint="such as /dev/mmcblk0")
    name = match[1]
    said: dict[str, list[str]] = defaultdict(list)
    for line in shell.run(f"disk={name}{_ASK}").text.splitlines():
        about, _, text = line.partition(" ")
        said[about].append(printable(text.strip()))
    if said["lacks"]:
        raise DeviceError(
            f"the board lacks {', '.join(said['lacks'])}",
            hint="what runs there must have Debian's BusyBox, or another one with all of these",
        )
    if "dev" not in said:
        raise DeviceError(f"the board has no disk /dev/{name}", hint=_others(said["other"]))
    disk = _disk(name, said)
    for error in _reasons(disk, " ".join(said["busy"]), needs):
        raise error
    return disk


def _others(lines: Sequence[str]) -> str:
    """Which disks there are instead."""
    there = [line.split() for line in lines]
    words = [f"/dev/{name} ({in_words(int(size) * SECTOR)})" for name, size in there]
    if words:
        return f"it has {', '.join(words)}"
    return "it has none: is the card in, and are the modules of the profile's [disk] loaded?"


def _disk(name: str, said: Mapping[str, Sequence[str]]) -> Disk:
    device = Path("/dev", name)
    facts = {about: lines[0] for about, lines in said.items() if lines}
    rows = [line.split() for line in said.get("part", ())]
    numbers = [_number(facts["dev"]), *(_number(row[4]) for row in rows)]
    mounts = [line.split() for line in said.get("mount", ())]
    swaps = [line.split()[0] for line in said.get("swap", ())]
    names = {str(device), *(f"/dev/{row[0]}" for row in rows)}
    points = [
        mount[4] for mount in mounts if _number(mount[2]) in numbers or _source(mount) in names
    ]
    if any(Path(one).is_relative_to(point) for one in _below_root(mounts) for point in points):
        points.append("/")
    return Disk(
        path=device,
        device=device,
        rdev=numbers[0],
        sequence=facts["diskseq"],
        size=int(facts["size"]) * SECTOR,
        model=facts["device/name"] or facts["device/model"],
        serial=facts["serial"] or facts["device/serial"],
        transport="mmc" if name.startswith("mmcblk") else "",
        removable=facts["removable"] == "1",
        readonly=facts["ro"] == "1",
        contents=Contents(),
        partitions=tuple(sorted(map(_partition, rows), key=lambda one: one.number)),
        rdevs=frozenset(numbers),
        mounts=tuple(points),
        swaps=tuple(swap for swap in swaps if swap in names),
        holders=(),
    )


def _partition(row: Sequence[str]) -> Partition:
    name, number, start, size, _ = row
    return Partition(
        device=f"/dev/{name}",
        number=int(number),
        start=int(start) * SECTOR,
        size=int(size) * SECTOR,
        contents=Contents(),
    )


def _number(text: str) -> int:
    major, minor = text.split(":")
    return os.makedev(int(major), int(minor))


def _source(mount: Sequence[str]) -> str:
    """The device that a line of mountinfo names, behind its fields of no fixed number."""
    return mount[mount.index("-") + 2]


def _below_root(mounts: Sequence[Sequence[str]]) -> list[str]:
    """The directories that an overlay at / is made of, if there is one."""
    options = [mount[-1] for mount in mounts if mount[4] == "/" and "overlay" in mount]
    named = re.findall(r"(?:lower|upper)dir\+?=([^,]+)", ",".join(options))
    return [one for names in named for one in names.split(":")]


def _reasons(disk: Disk, busy: str, needs: int) -> Iterator[DeviceError]:
    called = f"the board's {disk}"
    if "/" in disk.mounts:
        yield DeviceError(f"{called} holds / of the running system", hint=_IN_RAM)
    if disk.mounts:
        points = " ".join(reversed(disk.mounts))  # the inner ones first
        yield DeviceError(
            f"{called} is mounted at {', '.join(disk.mounts)}",
            hint=f"on the board: umount {points}",
        )
    if disk.swaps:
        off = " ".join(disk.swaps)
        yield DeviceError(f"{called} is swapped on", hint=f"on the board: swapoff {off}")
    if "busy" in busy:
        yield DeviceError(f"{called} is in use, perhaps below an overlay that is /", hint=_IN_RAM)
    yield from refuse.unfit(disk, called, needs)
