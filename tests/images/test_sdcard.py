"""A whole card: as partition tools and fsck see it, and as it is on a card that was used before."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rootfs_tool.blockmap import BlockMap, Kind
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Filesystem
from rootfs_tool.filesystem.ext4 import Ext4
from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.filesystem.partitions import Partition, partitions
from rootfs_tool.images.base import Contents, Root
from rootfs_tool.images.sdcard import SdCard
from rootfs_tool.tree import Device, Directory, File, Symlink, Tree, st_mode

EPOCH = 1_735_689_600
MIB = 1 << 20


def boot_tree() -> Tree:
    tree = Tree()
    tree.add("/config.txt", File(content=b"kernel=Image\n"), origin="a")
    tree.add("/Image", File(content=random.Random(1).randbytes(3_000_000)), origin="a")
    tree.add("/holes", File(content=b"x" + bytes(2_000_000) + b"y"), origin="a")
    tree.add("/overlays/disable-bt.dtbo", File(content=b"o" * 1000), origin="a")
    return tree


def root_tree() -> Tree:
    tree = Tree()
    tree.add("/dev/console", Device(kind="char", major=5, minor=1), origin="a")
    tree.add("/etc/shadow", File(content=b"root::\n", mode=0o600, gid=42), origin="a")
    tree.add("/lib/big", File(content=random.Random(2).randbytes(5_000_000)), origin="a")
    tree.add("/lib/zeros", File(content=bytes(1_000_000)), origin="a")
    tree.add("/sbin", Symlink("bin"), origin="a")
    tree.add("/tmp", Directory(mode=0o1777), origin="a")
    return tree


@pytest.fixture(scope="module")
def contents() -> Contents:
    return Contents(rootfs=root_tree(), initramfs=Tree(), boot=boot_tree(), root=Root.CARD)


def but(contents: Contents, root: Root) -> Contents:
    return Contents(
        rootfs=contents.rootfs, initramfs=contents.initramfs, boot=contents.boot, root=root
    )


def card(**fields: object) -> SdCard:
    return SdCard.model_validate({name.replace("_", "-"): fields[name] for name in fields})


def used_before(image: Path, map: BlockMap) -> Path:
    """A card that was full of other bytes, with what the map says written on it."""
    target = image.with_name("card")
    with image.open("rb") as source, target.open("wb") as file:
        for one in map.ranges:
            source.seek(one.start)
            length = one.end - one.start
            match one.kind:
                case Kind.DATA:
                    file.write(source.read(length))
                case Kind.ZERO:
                    file.write(bytes(length))
                case Kind.FREE:
                    file.write(b"\xa5" * length)
    return target


def part_of(image: Path, partition: Partition) -> Path:
    """A partition as a file of its own."""
    out = image.with_name(f"{image.name}{partition.number}")
    with image.open("rb") as file:
        file.seek(partition.start)
        out.write_bytes(file.read(partition.size))
    return out


def passes(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sfdisk(image: Path) -> Mapping[str, Any]:
    passes("sfdisk", "--verify", image)
    table: Mapping[str, Any] = json.loads(passes("sfdisk", "--json", image))["partitiontable"]
    return table


def holds(filesystem: Filesystem, tree: Tree, *, modes: bool = True) -> None:
    found = {entry.path: entry for entry in filesystem.entries()}
    for path, node in tree.walk():
        entry = found[path]
        if isinstance(node, File):
            assert b"".join(filesystem.read(entry)) == node.content, path
            assert entry.mtime == EPOCH
        if isinstance(node, Symlink):
            assert entry.to == node.to
        if modes:
            assert entry.mode == st_mode(node), path


def test_a_card_that_runs_in_ram_is_a_boot_partition(contents: Contents, tmp_path: Path) -> None:
    image = tmp_path / "sdcard.img"
    card().write(but(contents, Root.RAM), image, epoch=EPOCH)
    table = sfdisk(image)
    assert (table["label"], table["id"]) == ("dos", "0x72667374")
    (boot,) = table["partitions"]
    assert (boot["type"], boot["bootable"], boot["start"] * 512) == ("c", True, 4 * MIB)
    (partition,) = partitions(image)
    assert partition.start + partition.size == image.stat().st_size
    assert partition.uuid == "72667374-01"
    passes("fsck.vfat", "-n", part_of(image, partition))
    holds(Fat(image, partition.start), contents.boot, modes=False)


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_a_used_card_ends_with_clean_file_systems(
    contents: Contents, tmp_path: Path, table: str
) -> None:
    image = tmp_path / "sdcard.img"
    map = card(table=table).write(contents, image, epoch=EPOCH)
    used = used_before(image, map)
    boot, root = partitions(used)
    passes("fsck.vfat", "-n", part_of(used, boot))
    passes("e2fsck", "-fn", part_of(used, root))
    holds(Fat(used, boot.start), contents.boot, modes=False)
    holds(Ext4(used, root.start), contents.rootfs)
    free = sum(one.end - one.start for one in map.ranges if one.kind is Kind.FREE)
    assert free > 20 * MIB, "most of the boot partition is left alone"


def test_a_map_is_whole_and_its_digests_are_right(contents: Contents, tmp_path: Path) -> None:
    image = tmp_path / "sdcard.img"
    map = card(table="gpt").write(contents, image, epoch=EPOCH)
    content = image.read_bytes()
    assert map.size == len(content) == map.ranges[-1].end
    at = 0
    for one in map.ranges:
        assert (one.start, one.start % 4096) == (at, 0)
        piece, at = content[one.start : one.end], one.end
        assert any(piece) == (one.kind is Kind.DATA), one
        if one.kind is Kind.DATA:
            assert one.sha256 == hashlib.sha256(piece).hexdigest()


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_an_old_card_does_not_shine_through(contents: Contents, tmp_path: Path, table: str) -> None:
    """Whatever looks for a file system, a RAID or a table must find nothing but ours."""
    image = tmp_path / "sdcard.img"
    map = card(table=table).write(contents, image, epoch=EPOCH)
    free = [one for one in map.ranges if one.kind is Kind.FREE]
    spots = [at for one in partitions(image) for at in (one.start, one.start + 64 * 1024)]
    spots += [one.start + one.size - 1024 for one in partitions(image)]
    spots += [0, 8192, MIB - 1, map.size - 512, map.size - MIB]
    assert not [(at, one) for at in spots for one in free if one.start <= at < one.end]


def test_a_gpt_is_what_other_programs_take(contents: Contents, tmp_path: Path) -> None:
    image = tmp_path / "sdcard.img"
    card(table="gpt").write(contents, image, epoch=EPOCH)
    boot, root = sfdisk(image)["partitions"]
    assert (boot["type"], boot["name"]) == ("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "boot")
    assert (root["type"], root["name"]) == ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "rootfs")
    assert [one.uuid for one in partitions(image)] == [
        boot["uuid"].lower(),
        root["uuid"].lower(),
    ]
    with image.open("r+b") as file:  # the copy at the end is enough
        file.seek(512)
        file.write(bytes(512))
    assert len(json.loads(passes("sfdisk", "--json", image))["partitiontable"]["partitions"]) == 2


def test_an_overlay_is_a_squashfs_and_an_empty_file_system(
    contents: Contents, tmp_path: Path
) -> None:
    image = tmp_path / "sdcard.img"
    map = card(data_size=16).write(but(contents, Root.OVERLAY), image, epoch=EPOCH)
    used = used_before(image, map)
    _, root, data = partitions(used)
    assert [one.start % (4 * MIB) for one in (root, data)] == [0, 0]
    passes("unsquashfs", "-no-progress", "-dest", tmp_path / "root", part_of(used, root), "lib")
    big = contents.rootfs.get("/lib/big")
    assert isinstance(big, File)
    assert (tmp_path / "root/lib/big").read_bytes() == big.content
    passes("e2fsck", "-fn", part_of(used, data))
    assert (Ext4(used, data.start).label, data.size) == ("data", 16 * MIB)


def test_the_same_contents_give_the_same_bytes(contents: Contents, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "elsewhere" / "second"
    second.parent.mkdir()
    map = card(data_size=16).write(but(contents, Root.OVERLAY), first, epoch=EPOCH)
    again = Tree()
    for path, node in reversed(list(contents.rootfs.walk())):
        again.add(path, node, origin="b", replace=True)
    old = os.umask(0o077)
    try:
        other = Contents(rootfs=again, initramfs=Tree(), boot=contents.boot, root=Root.OVERLAY)
        assert card(data_size=16).write(other, second, epoch=EPOCH) == map
    finally:
        os.umask(old)
    assert first.read_bytes() == second.read_bytes()


def test_sizes_are_those_that_were_asked_for(contents: Contents, tmp_path: Path) -> None:
    image = tmp_path / "sdcard.img"
    card(boot_size=100, root_size=198).write(contents, image, epoch=EPOCH)
    assert [one.size for one in partitions(image)] == [100 * MIB, 200 * MIB]
    assert image.stat().st_blocks * 512 < 60 * MIB, "what is free takes no room on the host"


@pytest.mark.parametrize(
    ("fields", "root", "reason"),
    [
        ({"boot-size": 20}, Root.RAM, "boot-size is 20 MiB, but 33 MiB are needed"),
        ({"root-size": 4}, Root.OVERLAY, "root-size is 4 MiB, but 5 MiB are needed"),
        ({"root-size": 15}, Root.CARD, "root-size is 15 MiB, but 16 MiB are needed"),
        ({"data-size": 4}, Root.OVERLAY, "data-size is 4 MiB, but 16 MiB are needed"),
        ({"data-size": 16}, Root.CARD, 'data-size is for root = "overlay"'),
        ({"root-size": 64}, Root.RAM, 'root-size is for root = "card" or "overlay"'),
    ],
)
def test_what_does_not_fit(
    contents: Contents, tmp_path: Path, fields: dict[str, int], root: Root, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        card(**fields).write(but(contents, root), tmp_path / "x", epoch=EPOCH)


def test_a_rootfs_that_does_not_fit_where_it_may_go(contents: Contents, tmp_path: Path) -> None:
    rootfs = Tree()
    rootfs.add("/large", File(content=bytes(30 * MIB)), origin="a")
    large = Contents(rootfs=rootfs, initramfs=Tree(), boot=contents.boot, root=Root.CARD)
    with pytest.raises(ConfigError, match="root-size: the rootfs does not fit") as caught:
        card(root_size=20).write(large, tmp_path / "x", epoch=EPOCH)
    said = re.match(r"root-size = (\d+) ", caught.value.hint or "")
    assert said is not None
    card(root_size=int(said[1])).write(large, tmp_path / "x", epoch=EPOCH)
