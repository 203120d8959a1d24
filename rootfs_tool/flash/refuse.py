"""Why a disk is not written: every reason that can be known before the first byte."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from rootfs_tool.errors import DeviceError
from rootfs_tool.flash import mounts
from rootfs_tool.flash.disk import Disk, inspect, system_mounts
from rootfs_tool.printable import printable

LARGE = 512 << 30  # bytes; every card that is sold as 512 GB is smaller, most backups' disks aren't


def check(disk: Disk, *, needs: int = 0, really: Path | None = None) -> None:
    """Raise DeviceError for the first reason not to write an image of ``needs`` bytes to it.

    ``really`` is the device named a second time, by somebody who wants a disk written that is
    built in or larger than any card. Nothing is written, whatever comes.
    """
    for error in reasons(disk, needs=needs, really=really):
        raise error


def reasons(disk: Disk, *, needs: int = 0, really: Path | None = None) -> Iterator[DeviceError]:
    """Every reason against it, the gravest first."""
    if system := system_mounts(disk):
        yield DeviceError(f"{disk} holds {_and(system)} of this computer", hint=_NEVER)
    if not disk.size:
        yield DeviceError(f"{disk} is empty: there is no card in it", hint="put one in")
    if disk.mounts:
        unmount = shlex.join(["umount", *reversed(disk.mounts)])  # the inner ones first
        yield DeviceError(
            f"{disk} is mounted at {_and(disk.mounts)}", hint=f"{as_root()}{printable(unmount)}"
        )
    if disk.swaps:
        off = shlex.join(["swapoff", *disk.swaps])
        yield DeviceError(f"{disk} is swapped on ({_and(disk.swaps)})", hint=f"{as_root()}{off}")
    yield from _held(disk)
    yield from unfit(disk, str(disk), needs)
    yield from _unlikely(disk, really)
    yield from _busy(disk)


def unfit(disk: Disk, called: str, needs: int) -> Iterator[DeviceError]:
    """What is against a disk of this host or of a board that nobody uses."""
    if disk.readonly:
        yield DeviceError(
            f"{called} is read-only", hint="a card may have a switch for that at its side"
        )
    if disk.size < needs:
        yield DeviceError(
            f"{called} is too small: the image has {needs:,} bytes, it has {disk.size:,}",
            hint="take a larger one",
        )


_NEVER = "it is never written; rootfs-tool flash --list shows the cards of this host"


def as_root() -> str:
    """What a command line begins with that only root may run."""
    return "" if os.geteuid() == 0 else "sudo "


def _held(disk: Disk) -> Iterator[DeviceError]:
    if disk.holders:
        names = _and([f"{one.device} ({one.kind or 'unknown'})" for one in disk.holders])
        lines = dict.fromkeys(one.release for one in disk.holders if one.release)
        hint = " && ".join(f"{as_root()}{line}" for line in lines)
        yield DeviceError(f"{disk} is part of {names}", hint=hint or "stop what uses it")


def _unlikely(disk: Disk, really: Path | None) -> Iterator[DeviceError]:
    """What no card is, and what therefore must be said twice. A loop device is a file."""
    if really is not None:
        if inspect(really).rdev != disk.rdev:
            yield DeviceError(f"{disk} is not {really}", hint="name the same device both times")
        return
    twice = f"if you mean it, name it twice: --really {shlex.quote(str(disk.path))}"
    if not disk.is_card and disk.transport != "loop":
        yield DeviceError(f"{disk} is built in: not removable, not on USB or MMC", hint=twice)
    elif disk.size > LARGE:
        yield DeviceError(f"{disk} is larger than a card of 512 GB", hint=twice)


def _busy(disk: Disk) -> Iterator[DeviceError]:
    """The kernel's own word: O_EXCL fails for what is mounted or held anywhere (open(2)).

    That finds what we can't see, such as a mount in another container.
    """
    try:
        os.close(os.open(disk.device, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            who = "; ".join(mounts.openers(disk.rdevs))
            yield DeviceError(f"{disk} is in use: {who or 'by whom is not known'}", hint=_LET_GO)
        elif error.errno == errno.ENOMEDIUM:
            yield DeviceError(f"{disk} is empty: there is no card in it", hint="put one in")
        elif error.errno not in (errno.EACCES, errno.EPERM):
            yield DeviceError(f"{disk}: {error.strerror}", hint="take it out and put it in again")


_LET_GO = "end what uses it, or wait for it"


def _and(names: tuple[str, ...] | list[str]) -> str:
    return printable(", ".join(names))
