"""``flash``, which reads all back, against what writes alone; and against what the card can do.

The image is a sparse one of 2 GiB with 158 MB in it. First it goes to a loop device in memory, as
fast as the host is, next to bmaptool, which reads nothing back. Then to a card of 40 MB/s for
writing and 90 MB/s for reading (tests/flash/fault_device.c), next to dd. Whole processes are timed,
from start to end. It needs root, for the loop devices.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.side_by_side import compare, report
from rootfs_tool import blockmap, compressed
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.compressed import Format
from rootfs_tool.flash import reading, source
from tests.flash.cards import bad_card, compiled, loop

MIB = 1 << 20
SIZE = 2 << 30
DATA = 151 * MIB
WRITE_RATE, READ_RATE = 40_000_000, 90_000_000  # bytes a second
MEMORY = 100_000_000  # bytes
PROGRAM = Path(sys.executable).with_name("rootfs-tool")


def some_files() -> Iterator[bytes]:
    """What is in a rootfs: programs, libraries and text of this host; a MiB at a time."""
    for path in sorted(Path("/usr/lib").rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                while block := file.read(MIB):
                    yield block


def make_image(path: Path) -> None:
    """DATA bytes in some twenty places, and the maps of both kinds beside them."""
    data, blocks, generator = bytearray(), some_files(), random.Random(1)
    ranges, at, left = [], 0, DATA
    with path.open("wb") as file:
        file.truncate(SIZE)
        while left:
            length = min(generator.randrange(1, 256) * 65536, left)
            while len(data) < length:
                data += next(blocks)
            part = bytes(data[:length])
            del data[:length]
            file.seek(at)
            file.write(part)
            one = Range(kind=Kind.DATA, start=at, end=at + length)
            ranges.append(replace(one, sha256=hashlib.sha256(part).hexdigest()))
            left -= length
            end = at + length + generator.randrange(1, 100) * MIB if left else SIZE
            ranges.append(Range(kind=Kind.FREE, start=at + length, end=end))
            at = end
    map = BlockMap(size=SIZE, ranges=tuple(ranges))
    path.with_name(path.name + blockmap.SUFFIX).write_text(blockmap.dumps(map))
    bmap = path.with_name("bmap")  # a name that flash does not look for
    subprocess.run(["bmaptool", "--quiet", "create", "--output", bmap, path], check=True)


def change(path: Path) -> None:
    """What a new small file is: some blocks in five places."""
    beside = path.with_name(path.name + blockmap.SUFFIX)
    map = blockmap.load(beside)
    ranges = list(map.ranges)
    with path.open("r+b") as file:
        for index in (0, 2, 4, 6, 8):
            one = ranges[index]
            file.seek(one.start + 8192)
            file.write(os.urandom(4096))
            file.seek(one.start)
            content = file.read(one.end - one.start)
            ranges[index] = replace(one, sha256=hashlib.sha256(content).hexdigest())
    beside.write_text(blockmap.dumps(replace(map, ranges=tuple(ranges))))


def flash(image: Path, device: Path, *options: str) -> None:
    run(PROGRAM, "flash", *options, "--yes", image, device)


def run(*argv: str | Path) -> None:
    done = subprocess.run(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{argv}: {done.stderr}")


def memory_of(*argv: str | Path) -> int:
    """The most memory, in bytes, that a program has.

    Linux counts what its parent had when it started it, so that is a small one.
    """
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    whole = [sys.executable, "-I", "-S", "-c", measure, *argv]
    done = subprocess.run(whole, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def seconds(*argv: str | Path) -> float:
    start = time.perf_counter()
    run(*argv)
    return time.perf_counter() - start


def unpack(path: Path) -> None:
    with reading.reading(source.find(path)) as pieces:
        for _ in pieces:
            pass


def goal(name: str, found: float, most: float, unit: str) -> None:
    verdict = "ok" if found <= most else "MISSED"
    print(f"{name}: {found:.3g} {unit} (at most {most:.3g}) {verdict}")


def on_a_fast_device(image: Path, memory: Path) -> None:
    backing = memory / "fast"
    with backing.open("wb") as file:
        file.truncate(SIZE)
    with loop(backing) as device:
        peer = ("bmaptool", "--quiet", "copy", "--bmap", image.with_name("bmap"), image, device)
        found = compare(lambda: flash(image, device), lambda: run(*peer), rounds=7)
        report("flash and read back", "bmaptool copy, nothing read back", found, goal=2)
        for one in (image, *(image.with_name(f"{image.name}.{kind}") for kind in ("gz", "zst"))):
            used = memory_of(PROGRAM, "flash", "--yes", one, device)
            goal(f"memory to flash {one.name}", used / 1e6, MEMORY / 1e6, "MB")
    backing.unlink()


def on_a_slow_card(image: Path, memory: Path) -> None:
    with bad_card(compiled(memory), memory, SIZE) as card:
        card.fault(f"write-rate {WRITE_RATE} read-rate {READ_RATE}")
        dd = seconds("dd", f"if={image}", f"of={card.device}", "bs=4M", "conv=fsync")
        print(f"dd to a slow card: {dd:.1f} s")
        limit = DATA / WRITE_RATE + DATA / READ_RATE
        ours = seconds(PROGRAM, "flash", "--yes", image, card.device)
        goal("flash to a slow card, in what the card itself takes", ours / limit, 1.05, "x")
        goal("flash to a slow card, in dd's time", ours / dd, 0.10, "x")
        change(image)
        again = seconds(PROGRAM, "flash", "--changed-only", "--yes", image, card.device)
        goal("flash --changed-only of a small change, in dd's time", again / dd, 0.04, "x")


with (
    tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary,
    tempfile.TemporaryDirectory(prefix="rootfs-tool-", dir="/dev/shm") as in_memory,
):
    image = Path(temporary, "sdcard.img")
    make_image(image)
    for format in (Format.GZIP, Format.ZSTD):
        packed = image.with_name(f"{image.name}.{format}")
        map = compressed.compress(image, source.find(image).map, packed, format)
        packed.with_name(packed.name + blockmap.SUFFIX).write_text(blockmap.dumps(map))
    whole = Path(temporary, "whole.gz")
    with whole.open("wb") as file:
        subprocess.run(["gzip", "-c", image], stdout=file, check=True)
    found = compare(
        lambda: unpack(image.with_name("sdcard.img.gz")),
        lambda: run("gzip", "-dc", whole),
        rounds=3,
    )
    report("unpack what a card needs of a .gz", "gzip -dc of all of it", found, goal=0.125)
    on_a_fast_device(image, Path(in_memory))
    on_a_slow_card(image, Path(in_memory))
