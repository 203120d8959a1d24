"""Images to write, cards to write them to, and what a card must hold afterwards."""

from __future__ import annotations

import hashlib
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rootfs_tool import blockmap
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.flash import source, write
from rootfs_tool.flash.write import Flashed
from tests.loop import attached, unmount

loop = attached
MIB = 1 << 20
SIGNATURE = b"\x55\xaa"  # the last two bytes of a first sector that has a partition table
HEAD = MIB  # bytes that are cleared first

# Ranges that begin and end in and across the pieces that are written at a time.
LAYOUT = (
    (Kind.DATA, 0, 4096),
    (Kind.ZERO, 4096, 32768),
    (Kind.FREE, 32768, MIB - 4096),
    (Kind.DATA, MIB - 4096, 3 * MIB + 8192),
    (Kind.FREE, 3 * MIB + 8192, 4 * MIB - 8192),
    (Kind.ZERO, 4 * MIB - 8192, 6 * MIB + 4096),
    (Kind.DATA, 6 * MIB + 4096, 6 * MIB + 8192),
    (Kind.FREE, 6 * MIB + 8192, 8 * MIB),
    (Kind.DATA, 8 * MIB, 11 * MIB),
    (Kind.ZERO, 11 * MIB, 12 * MIB),
)
SIZE = LAYOUT[-1][2]


def an_image(path: Path, *, seed: int = 1) -> BlockMap:
    """A raw image at ``path`` with a partition table's mark, and its map, which is returned.

    Each 64 KiB of data compress to half, and look like no other.
    """
    generator = random.Random(seed)
    ranges = []
    with path.open("wb") as file:
        file.truncate(SIZE)
        for kind, start, end in LAYOUT:
            one = Range(kind=kind, start=start, end=end)
            if kind is Kind.DATA:
                half = (end - start) // 2
                data = generator.randbytes(half) + bytes(end - start - half)
                if start == 0:
                    data = data[:510] + SIGNATURE + data[512:]
                file.seek(start)
                file.write(data)
                one = replace(one, sha256=hashlib.sha256(data).hexdigest())
            ranges.append(one)
    return BlockMap(size=SIZE, ranges=tuple(ranges))


def with_map(path: Path, map: BlockMap) -> Path:
    path.with_name(path.name + blockmap.SUFFIX).write_text(blockmap.dumps(map))
    return path


def wanted(image: bytes, map: BlockMap, before: bytes) -> bytes:
    """What a card that held ``before`` must hold once the image is on it."""
    card = bytearray(before)
    card[:HEAD] = bytes(HEAD)
    for one in map.ranges:
        if one.kind is Kind.DATA:
            card[one.start : one.end] = image[one.start : one.end]
        elif one.kind is Kind.ZERO:
            card[one.start : one.end] = bytes(one.end - one.start)
    return bytes(card)


def flashed(
    path: Path,
    device: Path,
    *,
    changed_only: bool = False,
    resume: bool = False,
    direct: bool = True,
) -> Flashed:
    return write.flash(
        source.find(path),
        device,
        rdev=device.stat().st_rdev,
        name=str(device),
        changed_only=changed_only,
        resume=resume,
        direct=direct,
    )


def compiled(directory: Path) -> Path:
    """The program of fault_device.c."""
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "fuse3"], check=True, capture_output=True, text=True
    )
    program, code = directory / "fault_device", Path(__file__).with_name("fault_device.c")
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2"]
    argv = ["gcc", *warnings, "-o", str(program), str(code), *flags.stdout.split()]
    subprocess.run(argv, check=True)
    return program


@contextmanager
def bad_card(program: Path, directory: Path, size: int) -> Iterator[Card]:
    """A loop device on what ``program`` mounts below ``directory`` until the block ends."""
    mount, backing = directory / "mount", directory / "backing"
    mount.mkdir()
    subprocess.run([program, mount, backing, str(size)], check=True)
    try:
        with loop(mount / "card") as device:
            yield Card(device=device, backing=backing, control=mount / "control")
    finally:
        unmount(mount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A loop device; ``backing`` is the file that has its bytes."""

    device: Path
    backing: Path
    control: Path | None = None

    def fault(self, text: str) -> None:
        """Be bad in this way from now on: see fault_device.c."""
        assert self.control is not None
        self.control.write_text(text or "\n")

    def moved(self) -> tuple[int, int]:
        """How many bytes it was given to write and to read since ``fault``."""
        assert self.control is not None
        written, read = map(int, self.control.read_text().split())
        return written, read

    def content(self) -> bytes:
        return self.backing.read_bytes()

    def fill(self, seed: int = 99) -> bytes:
        """Old bytes on all of it, with a partition table's mark; what it holds is returned."""
        old = random.Random(seed).randbytes(64 << 10) * (self.backing.stat().st_size >> 16)
        old = old[:510] + SIGNATURE + old[512:]
        with self.backing.open("r+b") as file:
            file.write(old)
        return old
