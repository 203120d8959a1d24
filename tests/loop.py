"""Loop devices: a file as a real disk, attached for as long as a test needs it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MIB = 1 << 20
SIZE = 8 * MIB  # of a small card
TABLE = "label: dos\nsize=2MiB, type=c\ntype=83\n"


def output(*argv: str | Path) -> str:
    """What a host program says; its failure is the test's."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def digest(file: Path, length: int = -1) -> str:
    """The sha256 of a card's first bytes, complete once whoever wrote to the device closed it."""
    with file.open("rb") as card:
        return hashlib.sha256(card.read(length)).hexdigest()


@contextmanager
def attached(file: Path, *options: str, size: int = 0) -> Iterator[Path]:
    """The loop device over ``file``, made with ``size`` bytes if it is given."""
    if size:
        file.touch()
        os.truncate(file, size)
    device = Path(output("losetup", "--find", "--show", *options, file).strip())
    try:
        yield device
    finally:
        output("losetup", "--detach", device)


@contextmanager
def partitioned(file: Path, table: str, *, size: int = 64 * MIB) -> Iterator[Path]:
    """A loop device with the partitions of an sfdisk(8) script, which the kernel knows."""
    file.touch()
    os.truncate(file, size)
    subprocess.run(["sfdisk", "--quiet", file], input=table, text=True, check=True)
    with attached(file, "--partscan") as device:
        output("partx", "--update", device)  # for a kernel that doesn't read tables itself
        yield device  # detaching drops them


@contextmanager
def mounted(device: Path, *points: Path, options: str = "rw") -> Iterator[None]:
    with ExitStack() as stack:
        for point in points:
            point.mkdir(exist_ok=True)
            output("mount", "-o", options, device, point)
            stack.callback(unmount, point)
        yield


def unmount(point: Path) -> None:
    """Unmount it here and wherever it was copied to.

    A mount namespace that another test makes meanwhile has a copy of every mount of this one, and
    the device stays in use for as long as that namespace lives.
    """
    device = point.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    output("umount", point)
    name = str(point).replace(" ", r"\040")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            rows = [row.split() for row in (process / "mountinfo").read_text().splitlines()]
            if any(row[2] == number and row[4] == name for row in rows):
                command = ("nsenter", f"--mount={process}/ns/mnt", "umount", point)
                subprocess.run(command, capture_output=True, check=False)
