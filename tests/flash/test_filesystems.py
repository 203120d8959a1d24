"""A card that was used before ends with clean file systems, and with every file."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from rootfs_tool import compressed
from rootfs_tool.compressed import Format
from rootfs_tool.filesystem.base import Filesystem
from rootfs_tool.filesystem.ext4 import Ext4
from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.filesystem.partitions import partitions
from rootfs_tool.images.base import Contents, Root
from rootfs_tool.images.sdcard import SdCard
from rootfs_tool.tree import File, Symlink, Tree
from tests.flash.cards import Card, flashed, loop, with_map

pytestmark = pytest.mark.root
EPOCH = 1_735_689_600


def contents() -> Contents:
    generator = random.Random(4)
    boot, rootfs = Tree(), Tree()
    boot.add("/Image", File(content=generator.randbytes(3_000_000)), origin="a")
    boot.add("/config.txt", File(content=b"kernel=Image\n"), origin="a")
    rootfs.add("/lib/big", File(content=generator.randbytes(5_000_000)), origin="a")
    rootfs.add("/lib/zeros", File(content=bytes(2_000_000)), origin="a")
    rootfs.add("/sbin", Symlink("lib"), origin="a")
    return Contents(rootfs=rootfs, initramfs=Tree(), boot=boot, root=Root.CARD)


def files(filesystem: Filesystem) -> dict[PurePosixPath, tuple[int, str]]:
    found = {}
    for entry in filesystem.entries():
        digest = hashlib.sha256()
        if entry.size and not entry.is_directory and not entry.to:
            for block in filesystem.read(entry):
                digest.update(block)
        found[entry.path] = entry.mode, digest.hexdigest()
    return found


def fsck(device: Path, start: int, size: int, *argv: str) -> None:
    with loop(device, "--offset", str(start), "--sizelimit", str(size)) as partition:
        done = subprocess.run([*argv, partition], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("format", [None, Format.GZIP, Format.ZSTD])
def test_a_used_card_ends_clean(format: Format | None, tmp_path: Path) -> None:
    image, backing = tmp_path / "sdcard.img", tmp_path / "card"
    map = SdCard().write(contents(), image, epoch=EPOCH)
    with backing.open("wb") as file:
        file.truncate(-(-map.size >> 20) + 16 << 20)
    source = image
    if format is not None:
        source = tmp_path / f"sdcard.img.{format}"
        map = compressed.compress(image, map, source, format)
    with_map(source, map)
    with loop(backing) as device:
        Card(device=device, backing=backing).fill()
        done = flashed(source, device)
    assert done.written < map.size
    boot, root = partitions(backing)
    fsck(backing, boot.start, boot.size, "fsck.vfat", "-n")
    fsck(backing, root.start, root.size, "e2fsck", "-f", "-n")
    assert files(Fat(backing, boot.start)) == files(Fat(image, boot.start))
    assert files(Ext4(backing, root.start)) == files(Ext4(image, root.start))
