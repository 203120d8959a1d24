"""A warm ``build`` against copying, hashing and compressing the same bytes with plain tools.

The peer has the kernel and the finished rootfs lying there as files. It copies the kernel (cp),
puts the rootfs into one file (find, sort, cpio), compresses that with the same compressor at the
same level (zstd) and hashes what came of it (sha256sum): what no build can do without. ``build``
does that and everything else as one process, from its start to its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.side_by_side import compare, report
from rootfs_tool import manifest, newc

BOARD = "qemu-aarch64"
PROGRAM = Path(sys.executable).with_name("rootfs-tool")
GOAL = 1.5

BY_HAND = f"""\
set -e
rm -rf "$1/by-hand"
mkdir "$1/by-hand"
cp "$1/out/Image" "$1/by-hand/Image"
cd "$1/tree"
find . -print0 | LC_ALL=C sort -z |
    cpio --null --create --format=newc --reproducible --quiet >"$1/by-hand/initramfs.cpio"
cd "$1/by-hand"
zstd -q -{newc.ZSTD_LEVEL} --rm initramfs.cpio
sha256sum Image initramfs.cpio.zst >SHA256SUMS
"""

# There are two archives in it.
UNPACK = """\
take="cpio --extract --make-directories --quiet --nonmatching dev/*"
zstd -dc "$1" | { $take && $take; }
"""


def build(directory: Path) -> None:
    argv: list[str | Path] = [PROGRAM, "build", BOARD, "-o", directory / "out"]
    subprocess.run(argv, check=True, capture_output=True)


def by_hand(directory: Path) -> None:
    subprocess.run(["sh", "-c", BY_HAND, "sh", str(directory)], check=True)


def unpack(directory: Path) -> None:
    """The rootfs as files, but for the two device nodes, which want root."""
    (directory / "tree").mkdir()
    image = manifest.load(directory / "out").image("cpio")
    subprocess.run(["sh", "-c", UNPACK, "sh", image], cwd=directory / "tree", check=True)


os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary:
    here = Path(temporary)
    build(here)
    unpack(here)
    found = compare(lambda: build(here), lambda: by_hand(here), rounds=15)
report(f"warm build {BOARD}", "cp + cpio + zstd + sha256sum", found, goal=GOAL)
