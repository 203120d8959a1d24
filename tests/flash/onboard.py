"""A board of BusyBox and this kernel's disks, that an image is written to from here."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from shlex import quote

from rootfs_tool import blockmap
from rootfs_tool.flash import boarddisk, source
from rootfs_tool.flash.board import flash
from rootfs_tool.flash.write import Flashed
from rootfs_tool.shell import Shell
from rootfs_tool.targets.base import HostAddress
from tests.flash.cards import SIGNATURE, Card, wanted

HERE = HostAddress(bind="127.0.0.1", seen=IPv4Address("127.0.0.1"))
APPLETS = "mount -t tmpfs none /mnt && busybox --install -s /mnt"
NO_TABLE = "has no partition table now"

Start = Callable[..., Shell]


def board_of(setup: str = "") -> str:
    """The command line of a board that has BusyBox's applets alone, and this kernel's disks."""
    inside = f"{APPLETS}; {setup or ':'}\nPATH=/mnt exec sh"
    return f"unshare --mount sh -c {quote(inside)}"


def flashed(image: Path, shell: Shell, device: Path, host: HostAddress = HERE) -> Flashed:
    found = source.find(image)
    disk = boarddisk.inspect(shell, str(device), needs=found.size)
    return flash(found, shell, disk, host)


def has_table(card: Card) -> bool:
    return card.content()[510:512] == SIGNATURE


def expected(image: Path, before: bytes) -> bytes:
    return wanted(image.read_bytes(), blockmap.load(image.with_name("sdcard.img.map")), before)
