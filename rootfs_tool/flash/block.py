"""What the kernel says of a block device, in /sys/dev/block (Documentation/ABI, sysfs-block)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.printable import printable

SYS = Path("/sys")
SECTOR = 512  # bytes; what /sys counts in, whatever the device's own are


@dataclass(frozen=True, slots=True)
class Block:
    """A disk, a partition, or what is stacked on one; ``directory`` is its own below /sys."""

    directory: Path

    @property
    def name(self) -> str:
        """As the kernel calls it, such as "sdb1"; its node is in /dev."""
        return self.directory.name.replace("!", "/")

    @property
    def rdev(self) -> int:
        """Its number, as in stat(2). Raises OSError if it is gone."""
        major, minor = (self.directory / "dev").read_text().split(":")
        return os.makedev(int(major), int(minor))

    @property
    def size(self) -> int:
        """In bytes; 0 for a card reader without a card, and a loop device without a file."""
        return int(self.text("size") or 0) * SECTOR

    @property
    def start(self) -> int:
        """Where on its disk a partition begins, in bytes."""
        return int(self.text("start") or 0) * SECTOR

    @property
    def number(self) -> int:
        """A partition's; 0 for what is none."""
        return int(self.text("partition") or 0)

    @property
    def disk(self) -> Block:
        """The disk that a partition is on; of a disk, itself."""
        return Block(self.directory.parent) if self.number else self

    def partitions(self) -> tuple[Block, ...]:
        """Those that the kernel knows of, as they are numbered."""
        inside = (Block(path.parent) for path in self.directory.glob("*/partition"))
        return tuple(sorted(inside, key=lambda one: one.number))

    def stacked(self) -> Iterator[Block]:
        """Every device that is made of this one or its partitions, the topmost first."""
        for one in (self, *self.partitions()):
            for link in sorted(one.directory.glob("holders/*")):
                holder = Block(link.resolve())
                yield from holder.stacked()
                yield holder

    def text(self, attribute: str) -> str:
        """What that file says; nothing if there is none."""
        with suppress(OSError):
            return printable((self.directory / attribute).read_text(errors="replace").strip())
        return ""

    @property
    def transport(self) -> str:
        """How it is attached: "usb", "mmc", "loop", "nvme", "sata", "virtio"; "" if unknown."""
        for name, kind in (("loop", "loop"), ("mmcblk", "mmc"), ("nvme", "nvme")):
            if self.name.startswith(name):
                return kind
        for bus, kind in (("usb", "usb"), ("ata", "sata"), ("virtio", "virtio")):
            if any(re.fullmatch(rf"{bus}\d+", part) for part in self.directory.parts):
                return kind
        return ""

    @property
    def model(self) -> str:
        """What its maker calls it; of a loop device, its file."""
        if self.transport == "loop":
            return self.text("loop/backing_file")
        vendor = self.text("device/vendor")
        if vendor.startswith("0x") or vendor == "ATA":  # a number of the bus, or the bus
            vendor = ""
        name = self.text("device/model") or self.text("device/name")
        return f"{vendor} {name}".strip()

    @property
    def serial(self) -> str:
        """Its serial number as text; of a USB reader the reader's, for the card's isn't told."""
        if self.transport == "usb":
            for parent in self.directory.parents:
                if (parent / "idVendor").exists():
                    return Block(parent).text("serial")
        return self.text("serial") or self.text("device/serial") or self._page_80()

    def _page_80(self) -> str:
        """The unit serial number page that a SCSI or SATA disk answers (SPC-4, 7.8.15)."""
        with suppress(OSError):
            page = (self.directory / "device/vpd_pg80").read_bytes()
            return printable(page[4:].decode("ascii", errors="replace").strip("\0 "))
        return ""


def find(rdev: int, sys: Path = SYS) -> Block:
    """The device of that number. Raises OSError if the kernel has none."""
    link = sys / "dev" / "block" / f"{os.major(rdev)}:{os.minor(rdev)}"
    return Block(link.resolve(strict=True))


def disks(sys: Path = SYS) -> tuple[Block, ...]:
    """Every disk of this host, by name."""
    return tuple(Block(link.resolve()) for link in sorted((sys / "block").glob("*")))
