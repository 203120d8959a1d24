"""What is mounted and swapped on, by device number: proc_pid_mountinfo(5), proc_swaps(5)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.flash import block
from rootfs_tool.printable import printable

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount point, and the numbers of the devices that its file system lies on."""

    point: str
    rdevs: frozenset[int]


def mounts(process: str | int = "self") -> tuple[Mount, ...]:
    """Every mount that the process sees, in the order in which they were made.

    Raises OSError if the process is gone, or another user's.
    """
    pools = _btrfs()
    text = (PROC / str(process) / "mountinfo").read_text(errors="surrogateescape")
    return tuple(_mount(line.split(), pools) for line in text.splitlines())


def swaps() -> dict[int, str]:
    """The devices that are swapped on: number to path."""
    found = {}
    lines = (PROC / "swaps").read_text(errors="surrogateescape").splitlines()[1:]
    for line in lines:
        path = _unescaped(line.split()[0])
        for rdev in _of_nodes(path):
            found[rdev] = path
    return found


def openers(rdevs: frozenset[int]) -> Iterator[str]:
    """Who has one of the devices open or mounted, of the processes that we may look into."""
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or entry.name == str(os.getpid()):
            continue
        with suppress(OSError):  # it has ended, or is another user's
            who = f"{printable((entry / 'comm').read_text().strip())} (process {entry.name})"
            if any(_opens(link, rdevs) for link in (entry / "fd").iterdir()):
                yield f"{who} has it open"
            for mount in mounts(int(entry.name)):
                if mount.rdevs & rdevs:
                    yield f"{who} has it mounted at {mount.point}"
                    break


def _opens(link: Path, rdevs: frozenset[int]) -> bool:
    with suppress(OSError):
        status = link.stat()
        return stat.S_ISBLK(status.st_mode) and status.st_rdev in rdevs
    return False


def _mount(fields: list[str], pools: list[frozenset[int]]) -> Mount:
    """One line of mountinfo. A file system such as btrfs has a number of its own there.

    Its major number is 0 then, and only its source, and for btrfs /sys/fs/btrfs, names devices.
    """
    major, minor = fields[2].split(":")
    source = fields[fields.index("-") + 2]
    rdevs = {os.makedev(int(major), int(minor))}
    if major == "0":
        rdevs |= {rdev for path in _unescaped(source).split(":") for rdev in _of_nodes(path)}
    for pool in pools:
        if pool & rdevs:
            rdevs |= pool
    return Mount(_unescaped(fields[4]), frozenset(rdevs))


def _btrfs() -> list[frozenset[int]]:
    """The devices of each btrfs that is mounted."""
    return [
        frozenset(block.Block(link.resolve()).rdev for link in pool.iterdir())
        for pool in block.SYS.glob("fs/btrfs/*/devices")
    ]


def _of_nodes(path: str) -> set[int]:
    with suppress(OSError):
        status = Path(path).stat()
        if path.startswith("/") and stat.S_ISBLK(status.st_mode):
            return {status.st_rdev}
    return set()


def _unescaped(text: str) -> str:
    r"""The kernel writes a space, tab, newline and backslash as \040 and so on."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
