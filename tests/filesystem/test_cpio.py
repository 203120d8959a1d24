"""Archives that GNU cpio made, as our reader sees them; and how the kernel would unpack them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.events import Event, listening
from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.cpio import Cpio
from tests.filesystem.sample import (
    TIME,
    add_what_only_root_can,
    assert_extents_hold_the_bytes,
    assert_survives_flips,
    assert_the_same,
    fill,
)

COMPRESSORS = {
    "none": ["cat"],
    "gzip": ["gzip"],
    "zstd": ["zstd"],
    "xz": ["xz", "--check=crc32"],
    "bzip2": ["bzip2"],
}


def archive(root: Path, *names: str) -> bytes:
    """The files of those names, or all, in the order of the names."""
    some = names or [".", *sorted(str(path.relative_to(root)) for path in root.rglob("*"))]
    return subprocess.run(
        ["cpio", "--create", "--null", "--format=newc", "--quiet"],
        input="\0".join(some).encode(errors="surrogateescape"),
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout


def packed(data: bytes, how: str) -> bytes:
    return subprocess.run(COMPRESSORS[how], input=data, check=True, capture_output=True).stdout


def read(path: Path) -> dict[str, bytes]:
    cpio = Cpio(path)
    return {str(entry.path): b"".join(cpio.read(entry)) for entry in cpio.entries()}


def damage(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("how", COMPRESSORS)
def test_everything_is_there(tmp_path: Path, how: str) -> None:
    root = fill(tmp_path / "root")
    image = tmp_path / "image"
    image.write_bytes(packed(archive(root), how))
    cpio = Cpio(image)
    assert_the_same(cpio, root, xattrs=False)
    assert cpio.compressions == [how]


@pytest.mark.root
def test_devices_and_owners(tmp_path: Path) -> None:
    root = fill(tmp_path / "root")
    add_what_only_root_can(root)
    image = tmp_path / "image"
    image.write_bytes(archive(root))
    assert_the_same(Cpio(image), root, xattrs=False)


def test_extents_are_where_the_bytes_are(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(archive(fill(tmp_path / "root")))
    assert_extents_hold_the_bytes(Cpio(image), image)


def test_two_names_of_a_file_are_one_inode(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(archive(fill(tmp_path / "root")))
    found = {str(entry.path): entry for entry in Cpio(image).entries()}
    one, other = found["/usr/lib/again"], found["/usr/lib/text"]
    assert one.inode == other.inode != 0
    assert one.extents == other.extents


@pytest.mark.parametrize("first", COMPRESSORS)
@pytest.mark.parametrize("second", COMPRESSORS)
def test_a_second_archive_is_laid_over_the_first(tmp_path: Path, first: str, second: str) -> None:
    for name, text in (("one", "old"), ("two", "new")):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "motd").write_text(text)
        (tmp_path / name / "etc" / name).write_text(name)
    image = tmp_path / "image"
    start = packed(archive(tmp_path / "one"), first)
    image.write_bytes(start + bytes(-len(start) % 4) + packed(archive(tmp_path / "two"), second))
    found = read(image)
    assert found == {
        "/": b"",
        "/etc": b"",
        "/etc/motd": b"new",
        "/etc/one": b"one",
        "/etc/two": b"two",
    }


def test_a_path_through_a_link_lands_where_the_kernel_puts_it(tmp_path: Path) -> None:
    (tmp_path / "one" / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "one" / "bin").symlink_to("usr/bin")
    (tmp_path / "two" / "bin").mkdir(parents=True)
    (tmp_path / "two" / "bin" / "sh").write_text("#!")
    image = tmp_path / "image"
    image.write_bytes(archive(tmp_path / "one") + archive(tmp_path / "two", "bin/sh"))
    assert read(image)["/usr/bin/sh"] == b"#!"


def test_a_file_without_its_directory_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "motd").write_text("x")
    image = tmp_path / "image"
    image.write_bytes(archive(tmp_path / "root", "etc/motd"))
    said: list[Event] = []
    with listening(said.append):
        assert list(read(image)) == ["/"]
    assert [event.text for event in said] == [
        "/etc/motd: the kernel can't unpack it there, and leaves it out"
    ]


def test_a_root_that_the_archive_does_not_tell(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "init").write_text("#!")
    image = tmp_path / "image"
    image.write_bytes(archive(tmp_path / "root", "init"))
    first: Entry = next(iter(Cpio(image).entries()))
    assert (str(first.path), first.mode, first.mtime != TIME) == ("/", 0o40755, True)


@pytest.mark.parametrize("how", COMPRESSORS)
def test_an_archive_that_is_cut_short(tmp_path: Path, how: str) -> None:
    image = tmp_path / "image"
    whole = packed(archive(fill(tmp_path / "root")), how)
    image.write_bytes(whole[: len(whole) // 2])
    assert "cut short" in damage(image)


def test_what_is_no_archive(tmp_path: Path) -> None:
    image = tmp_path / "image"
    good = archive(fill(tmp_path / "root"), "etc/empty")
    image.write_bytes(good + b"junk")
    assert f"byte {len(good)} begins no archive" in damage(image)
    image.write_bytes(good.replace(b"070701", b"070707", 1))
    assert "no record begins at byte 0" in damage(image)
    image.write_bytes(good[:54] + b"zzzzzzzz" + good[62:])
    assert "the record at byte 0 is none" in damage(image)
    image.write_bytes(b"\x02\x21\x4c\x18" + good)
    assert "compressed with lz4, which is not read here" in damage(image)
    flipped = bytearray(packed(good, "zstd"))
    flipped[-1] ^= 0xFF
    image.write_bytes(flipped)
    assert f"{image}: its zstd: " in damage(image)


def test_zeros_without_end_do_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.filesystem.cpio.MOST", 32 << 20)
    image = tmp_path / "image"
    image.write_bytes(packed(bytes(64 << 20), "gzip"))
    assert "unpacks to more than 32 MiB" in damage(image)


def test_flipped_bytes_end_in_a_sentence_or_are_read(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(archive(fill(tmp_path / "root"), ".", "etc", "etc/fstab", "fifo", "lib"))
    assert_survives_flips(Cpio, image, range(image.stat().st_size))
