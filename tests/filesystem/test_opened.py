"""What an image is, told by its content, and the paths in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.opened import Opened
from tests.filesystem import card as cards
from tests.filesystem.card import boot_files, root_files, run


def said(image: Path, path: str) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        Opened(image).find(path)
    return str(caught.value), caught.value.hint


def text(image: Path, path: str) -> bytes:
    volume, entry = Opened(image).find(path)
    return b"".join(volume.filesystem.read(entry))


@pytest.mark.parametrize("table", ["dos", "gpt"])
def test_a_card_is_its_partitions(tmp_path: Path, table: str) -> None:
    image = tmp_path / "image"
    cards.make(image, boot_files(tmp_path / "boot"), root_files(tmp_path / "root"), table=table)
    opened = Opened(image)
    assert opened.is_card
    assert [(one.prefix, one.kind, one.label) for one in opened.volumes] == [
        ("1:", "vfat", "BOOT"),
        ("2:", "ext4", "rootfs"),
    ]


def test_a_partition_is_meant_by_number_or_label(card: Path) -> None:
    for path in (
        "1:/config.txt",
        "1:config.txt",
        "boot:/config.txt",
        "BOOT:/overlays/../config.txt",
    ):
        assert text(card, path).startswith(b"arm_64bit"), path
    assert text(card, "rootfs:/etc/fstab") == text(card, "2:/etc/fstab")


def test_links_are_followed_as_the_board_would(card: Path) -> None:
    busybox = text(card, "2:/usr/bin/busybox")
    for path in ("2:/sh", "2:/bin/busybox", "2:/../../bin/../bin/busybox"):
        assert text(card, path) == busybox, path
    assert said(card, "2:/round")[0] == "/round runs in a circle of symbolic links"


def test_a_path_that_is_not_there_is_guessed(card: Path) -> None:
    assert said(card, "2:/etc/fstap/x") == (
        "there is no /etc/fstap in it",
        "did you mean /etc/fstab?",
    )
    assert said(card, "2:/etc/fstab/x")[0] == "/etc/fstab is no directory"
    assert said(card, "3:/x") == (f"{card} has no partition 3", "there are 1:/ (vfat), 2:/ (ext4)")
    assert said(card, "/config.txt") == (
        f"say which partition of {card} is meant",
        "there are 1:/config.txt (vfat), 2:/config.txt (ext4)",
    )


def test_a_single_file_system_needs_no_partition(tmp_path: Path) -> None:
    root = root_files(tmp_path / "root")
    options: dict[str, tuple[str | Path, ...]] = {
        "ext4": ("mke2fs", "-q", "-t", "ext4", "-d", root, tmp_path / "ext4", "8M"),
        "squashfs": ("mksquashfs", root, tmp_path / "squashfs", "-quiet", "-no-progress"),
        "erofs": ("mkfs.erofs", tmp_path / "erofs", root),
    }
    for kind, argv in options.items():
        run(*argv)
        opened = Opened(tmp_path / kind)
        assert [one.kind for one in opened.volumes] == [kind]
        assert not opened.is_card
        assert text(tmp_path / kind, "etc/fstab") == (root / "etc" / "fstab").read_bytes()


def test_a_partition_that_is_not_read_here(tmp_path: Path) -> None:
    image = tmp_path / "card"
    with image.open("wb") as file:
        file.truncate(8 * cards.MIB)
    sfdisk = ("sfdisk", "--quiet", "--no-tell-kernel", image)
    subprocess.run(sfdisk, input=b"label: dos\ntype=8e\n", check=True)
    for path in ("1:/", "1:/etc/fstab"):
        assert said(image, path)[0] == (
            f"partition 1 of {image} holds no file system that is read here"
        )
    assert said(image, "/etc/fstab")[0] == f"say which partition of {image} is meant"


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(10_000))
    assert said(tmp_path / "zeros", "/")[0] == f"{tmp_path}/zeros is no image that is known here"
    (tmp_path / "empty").touch()
    assert "is no image that is known here" in said(tmp_path / "empty", "/")[0]
    assert said(tmp_path / "none", "/")[0] == f"{tmp_path}/none: No such file or directory"
    assert said(Path("/dev/null"), "/")[0] == "/dev/null is not an image file"
    assert said(tmp_path, "/")[0] == f"{tmp_path} is not an image file"


def test_a_compressed_card_is_told_as_one(card: Path, tmp_path: Path) -> None:
    run("zstd", "-q", card, "-o", tmp_path / "card.zst")
    assert said(tmp_path / "card.zst", "/")[1] == "it is compressed: unpack it with zstd -d first"


def test_a_damaged_partition_does_not_hide_the_other(card: Path, tmp_path: Path) -> None:
    bad = cards.changed(card, tmp_path / "bad", cards.BOOT + 13)  # sectors of a cluster
    for path in ("2:/etc/fstab", "rootfs:/etc/fstab"):
        assert text(bad, path) == text(card, path)
    assert "FAT" in said(bad, "1:/config.txt")[0]
