"""The differences of two images, and to what the first different byte belongs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rootfs_tool import imagediff
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.opened import Opened
from rootfs_tool.imagediff import sentence
from tests.filesystem import card as cards
from tests.filesystem.card import BOOT, ROOT, boot_files, changed, root_files, run


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("card")
    return cards.make(here / "a.img", boot_files(here / "boot"), root_files(here / "root"))


def found(a: Path, b: Path, *, content: bool = False) -> list[str]:
    differences = imagediff.differences(Opened(a), Opened(b), content=content)
    return [sentence(one) + one.text for one in differences]


def squashfs(root: Path, name: str) -> Path:
    image = root.parent / name
    run("mksquashfs", root, image, "-quiet", "-no-progress", "-all-root")
    return image


def test_everything_of_a_file_is_compared(tmp_path: Path) -> None:
    root = root_files(tmp_path / "root")
    (root / "gone").touch()
    (root / "other").touch()
    (root / "time").touch()
    os.utime(root / "time", (1000, 1000))
    before = squashfs(root, "before")
    stays = {path: path.stat().st_mtime for path in (root, root / "etc")}
    (root / "gone").unlink()
    (root / "new").touch()
    (root / "other").unlink()
    (root / "other").mkdir()
    (root / "bin").unlink()
    (root / "bin").symlink_to("usr")
    os.utime(root / "time", (2000, 2000))
    (root / "etc" / "fstab").chmod(0o600)
    (root / "etc" / "fstab").write_text("/dev/mmcblk0p2 / ext4 ro 0 1\n")
    os.setxattr(root / "usr", "user.x", b"\1")
    for path, time in stays.items():
        os.utime(path, (time, time))
    lines = {
        line.partition(", time")[0].partition(": time")[0]
        for line in found(before, squashfs(root, "after"))
    }
    assert lines == {
        "/bin: link usr/bin -> usr",
        "/etc/fstab: mode 0644 -> 0600, size 35 -> 29, bytes from 22 on",
        "/gone is only in the first",
        "/new is only in the second",
        "/other: type file -> directory, mode 0644 -> 0755, size 0 -> none",
        "/time",
        "/usr: xattr user.x none -> 01",
    }


@pytest.mark.root
def test_devices_and_owners_are_compared(tmp_path: Path) -> None:
    images = []
    for name, minor, owner in (("a", 1, 5), ("b", 3, 6)):
        (tmp_path / name).mkdir()
        os.mknod(tmp_path / name / "null", 0o20666, os.makedev(1, minor))
        os.chown(tmp_path / name / "null", owner, 7)
        os.utime(tmp_path / name / "null", (1000, 1000))
        os.utime(tmp_path / name, (1000, 1000))
        images.append(tmp_path / f"{name}.img")
        run("mksquashfs", tmp_path / name, images[-1], "-quiet", "-no-progress")
    assert found(*images) == ["/null: owner 5:7 -> 6:7, device 1:1 -> 1:3"]


def test_the_lines_of_a_text(card: Path, tmp_path: Path) -> None:
    root = root_files(tmp_path / "root")
    (root / "etc" / "fstab").write_text("/dev/mmcblk0p2 / ext4 defaults 0 2\n")
    other = cards.make(tmp_path / "b.img", boot_files(tmp_path / "boot"), root)
    (said,) = found(card, other, content=True)
    assert said.splitlines() == [
        "2:/etc/fstab: bytes from 33 on--- a/2:/etc/fstab",
        "+++ b/2:/etc/fstab",
        "@@ -1 +1 @@",
        "-/dev/mmcblk0p2 / ext4 defaults 0 1",
        "+/dev/mmcblk0p2 / ext4 defaults 0 2",
    ]


def test_partition_tables_are_compared(card: Path, tmp_path: Path) -> None:
    assert found(card, changed(card, tmp_path / "b", 440)) == [
        "partition 1: uuid 12345678-01 -> 123456fe-01",
        "partition 2: uuid 12345678-02 -> 123456fe-02",
    ]
    alone = changed(card, tmp_path / "c", 446 + 16 + 4, b"\0")
    assert found(card, alone) == ["partition 2 is only in the first"]


def test_a_card_is_not_compared_with_a_file_system(card: Path, tmp_path: Path) -> None:
    other = squashfs(root_files(tmp_path / "root"), "b")
    with pytest.raises(ConfigError, match=r"a\.img is a card and .*/b a file system"):
        found(card, other)


def first(a: Path, b: Path) -> str:
    said = imagediff.first_difference(a, b)
    return said.replace(str(a), "A").replace(str(b), "B")


def test_the_same_image_has_no_difference(card: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(card.read_bytes())  # without the holes
    assert found(card, tmp_path / "b") == []
    assert imagediff.first_difference(card, tmp_path / "b") == ""


def ext4_block(card: Path, field: str) -> int:
    """A byte of the card that dumpe2fs says belongs to a table of the second partition."""
    alone = card.with_name("ext4")
    alone.write_bytes(card.read_bytes()[ROOT:])
    said = subprocess.run(["dumpe2fs", alone], check=True, capture_output=True, text=True).stdout
    return ROOT + 4096 * int(said.split(field, 1)[1].split()[0].split("-")[0])


def test_a_byte_belongs_to_a_table(card: Path, tmp_path: Path) -> None:
    inodes = ext4_block(card, "Inode table at ")
    places = {
        300: "the MBR",
        441: "the disk's signature in the MBR",
        451: "the MBR's table of partitions",
        700: "the gap before the first partition",
        BOOT + 3: "1:/ (the FAT's boot sectors)",
        BOOT + 512 * 4 + 9: "1:/ (copy 1 of the FAT, its byte 9)",
        BOOT + 15 * (1 << 20): "1:/ (a free part of the vfat)",
        ROOT + 1024 + 4: "2:/ (the ext4's superblock, its byte 4)",
        ext4_block(card, "Block bitmap at ")
        + 7: "2:/ (the bitmap of blocks of the ext4's group 0)",
        ext4_block(card, "Inode bitmap at ")
        + 7: "2:/ (the bitmap of inodes of the ext4's group 0)",
        inodes + 256 + 8: "2:/, byte 8 of its inode 2",
        ROOT + 23 * (1 << 20): "2:/ (a free part of the ext4)",
    }
    for offset, place in places.items():
        said = first(card, changed(card, tmp_path / "b", offset))
        assert said.startswith(f"A and B differ from byte {offset} on: {place}"), said
        if "free" in place or "bitmap" in place:
            assert said.endswith("; all files are the same")


def test_a_byte_belongs_to_a_file(card: Path, tmp_path: Path) -> None:
    opened = Opened(card)
    for path in ("1:/kernel8.img", "2:/usr/bin/busybox"):
        _, entry = opened.find(path)
        offset = entry.extents[0][0] + 4321
        said = first(card, changed(card, tmp_path / "b", offset))
        assert said == (
            f"A and B differ from byte {offset} on: {path}, its byte 4321; "
            f"first of all {path}: bytes from 4321 on"
        )
    _, directory = opened.find("2:/etc")
    inode = ext4_block(card, "Inode table at ") + 256 * (directory.inode - 1)
    assert "2:/etc, byte 0 of its inode" in first(card, changed(card, tmp_path / "b", inode))


def test_a_byte_of_a_squashfs(tmp_path: Path) -> None:
    root = root_files(tmp_path / "root")
    image = squashfs(root, "a")
    assert "(the squashfs's superblock)" in first(image, changed(image, tmp_path / "b", 8))
    assert "/usr/bin/busybox, compressed" in first(image, changed(image, tmp_path / "b", 100))


@pytest.mark.parametrize("how", ["cat", "zstd"])
def test_a_byte_of_an_archive(tmp_path: Path, how: str) -> None:
    images = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "motd").write_text(f"this is {name}")
        os.utime(tmp_path / name / "motd", (1000, 1000))
        archive = subprocess.run(
            ["cpio", "--create", "--format=newc", "--reproducible", "--quiet"],
            input=b"motd\n",
            cwd=tmp_path / name,
            check=True,
            capture_output=True,
        ).stdout
        images.append(tmp_path / f"{name}.cpio")
        packed = subprocess.run([how], input=archive, check=True, capture_output=True).stdout
        images[-1].write_bytes(packed)
    said = first(*images)
    if how == "cat":
        assert "/motd, its byte 8" in said
    assert said.endswith("; first of all /motd: bytes from 8 on")


def test_one_that_is_longer(card: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(card.read_bytes() + b"x")
    size = card.stat().st_size
    assert (
        first(card, tmp_path / "b")
        == f"A and B differ from byte {size} on, where the shorter one ends"
    )


def test_files_of_which_nothing_is_known(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"just text {name}")
    said = first(tmp_path / "a", tmp_path / "b")
    assert said.startswith("A and B differ from byte 10 on: what is there is not known")
