"""Images that mke2fs made, as our reader sees them."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem import ext4layout
from rootfs_tool.filesystem.ext4 import Ext4
from tests.filesystem.sample import (
    TIME,
    add_what_only_root_can,
    add_xattrs,
    assert_extents_hold_the_bytes,
    assert_survives_flips,
    assert_the_same,
    fill,
    run,
)

SIZE = 24 << 20


def made(tmp_path: Path, *options: str, root: Path | None = None, offset: int = 0) -> Path:
    image = tmp_path / "image"
    root = fill(tmp_path / "root") if root is None else root
    (root / "lost+found").mkdir(mode=0o700)
    for path in (root / "lost+found", root):
        os.utime(path, (TIME, TIME))
    with image.open("wb") as file:
        file.truncate(offset + SIZE)
    where = f"offset={offset},root_owner={root.stat().st_uid}:{root.stat().st_gid}"
    # It gives / the time that it is.
    command = ("env", f"E2FSPROGS_FAKE_TIME={TIME}", "mke2fs", "-q", "-F", *options)
    run(*command, "-L", "a label", "-E", where, "-d", root, image, "24M")
    return image


@pytest.mark.parametrize(
    "options",
    [
        ("-t", "ext4"),
        ("-t", "ext4", "-b", "4096"),
        ("-t", "ext4", "-O", "^64bit"),
        ("-t", "ext4", "-O", "^metadata_csum,uninit_bg"),
        ("-t", "ext4", "-O", "metadata_csum_seed"),
        ("-t", "ext3", "-b", "1024"),
        ("-t", "ext2", "-b", "2048"),
        ("-t", "ext2", "-b", "1024", "-I", "128"),
    ],
    ids=" ".join,
)
def test_everything_is_there(tmp_path: Path, options: tuple[str, ...]) -> None:
    image = made(tmp_path, *options)
    ext4 = Ext4(image)
    assert ext4.label == "a label"
    assert_the_same(ext4, tmp_path / "root")
    assert_extents_hold_the_bytes(ext4, image)


@pytest.mark.root
def test_devices_owners_and_attributes(tmp_path: Path) -> None:
    root = fill(tmp_path / "root")
    add_what_only_root_can(root)
    add_xattrs(root)
    assert_the_same(Ext4(made(tmp_path, "-t", "ext4", "-b", "4096", root=root)), root)


def test_one_that_begins_inside_a_file(tmp_path: Path) -> None:
    image = made(tmp_path, "-t", "ext4", offset=3 << 20)
    ext4 = Ext4(image, 3 << 20)
    assert_the_same(ext4, tmp_path / "root")
    assert_extents_hold_the_bytes(ext4, image)


def test_a_directory_with_an_index(tmp_path: Path) -> None:
    image = made(tmp_path, "-t", "ext4", "-b", "1024")
    subprocess.run(["e2fsck", "-f", "-y", "-D", image], check=False, capture_output=True)
    listing = subprocess.run(
        ["debugfs", "-R", "htree_dump /many", image], check=True, capture_output=True, text=True
    )
    assert "Root node dump" in listing.stdout
    assert_the_same(Ext4(image), tmp_path / "root")


@pytest.mark.parametrize("kind", ["ext4", "ext3", "ext2"])
def test_holes_are_zeros_and_lie_nowhere(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "holes").open("wb") as file:
        for at in (50_000, 9_000_000):  # deep enough for two levels of blocks of block numbers
            file.seek(at)
            file.write(b"here")
        file.truncate(9_500_000)
    ext4 = Ext4(made(tmp_path, "-t", kind, "-b", "1024", root=root))
    (holes,) = [entry for entry in ext4.entries() if entry.path.name == "holes"]
    assert b"".join(ext4.read(holes)) == (root / "holes").read_bytes()
    assert holes.extents == ()


@pytest.mark.parametrize(
    "options",
    [("-t", "ext4", "-b", "4096"), ("-t", "ext4", "-b", "1024"), ("-t", "ext2", "-b", "1024")],
    ids=" ".join,
)
def test_what_is_not_used_may_be_anything(tmp_path: Path, options: tuple[str, ...]) -> None:
    image = made(tmp_path, *options, offset=1 << 20)
    raw = image.read_bytes()
    used = list(Ext4(image, 1 << 20).used())
    assert used == sorted(used)
    assert sum(end - start for start, end in used) < SIZE // 2
    other = bytearray(b"\xa5" * len(raw))
    for start, end in used:
        assert 1 << 20 <= start < end <= len(raw)
        other[start:end] = raw[start:end]
    image.write_bytes(other)
    run("e2fsck", "-f", "-n", f"{image}?offset={1 << 20}")
    assert_the_same(Ext4(image, 1 << 20), tmp_path / "root")


@pytest.mark.parametrize("kind", ["ext4", "ext2"])
def test_damage_is_told(tmp_path: Path, kind: str) -> None:
    image = made(tmp_path, "-t", kind, "-b", "1024")
    raw, places = image.read_bytes(), []
    for start, end in Ext4(image).used():
        end = min(end, 1 << 20)  # metadata comes first
        places += [at for at in range(start, end) if raw[at]]
    assert_survives_flips(Ext4, image, places)


def test_a_directory_inside_itself_is_told(tmp_path: Path) -> None:
    image = made(tmp_path, "-t", "ext4")
    run("debugfs", "-w", "-R", "ln /usr /usr/lib/usr", image)
    with pytest.raises(ConfigError, match="is a directory that has another place"):
        list(Ext4(image).entries())


def test_what_is_no_ext4_is_told(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"")
    with pytest.raises(ConfigError, match="no ext4 lies there"):
        Ext4(image)
    made(tmp_path, "-t", "ext4")
    os.truncate(image, SIZE - 1)
    with pytest.raises(ConfigError, match="the image ends before the file system does"):
        Ext4(image)


def test_features_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, SIZE)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "inline_data", image)
    with pytest.raises(ConfigError, match="features that can't be read"):
        Ext4(image)


def test_the_checksum_is_crc32c() -> None:
    assert ext4layout.crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283  # RFC 3720, B.4 and others
    assert ext4layout.crc32c(bytes(32)) ^ 0xFFFFFFFF == 0x8A9136AA
    chosen = random.Random(1)
    for zeros in (511, 512, 513, 4000):
        data = chosen.randbytes(20)
        one_by_one = ext4layout.crc32c(data)
        for _ in range(zeros):
            one_by_one = ext4layout.crc32c(b"\0", one_by_one)
        assert ext4layout.crc32c(data + bytes(zeros)) == one_by_one
