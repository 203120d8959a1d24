"""Images that mksquashfs made, as our reader sees them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.squashfs import Squashfs
from tests.filesystem.sample import (
    add_what_only_root_can,
    add_xattrs,
    assert_extents_hold_the_bytes,
    assert_survives_flips,
    assert_the_same,
    fill,
    run,
)


def made(tmp_path: Path, *options: str, root: Path | None = None) -> Path:
    image = tmp_path / "image"
    root = fill(tmp_path / "root") if root is None else root
    run("mksquashfs", root, image, "-noappend", "-quiet", "-no-progress", *options)
    return image


@pytest.mark.parametrize(
    "options",
    [
        ("-comp", "zstd"),
        ("-comp", "gzip"),
        ("-comp", "xz"),
        ("-no-fragments",),
        ("-b", "4096"),
        ("-noI", "-noD", "-noF", "-noX"),
    ],
    ids=" ".join,
)
def test_everything_is_there(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert_the_same(Squashfs(made(tmp_path, *options)), tmp_path / "root")


@pytest.mark.root
def test_devices_owners_and_attributes(tmp_path: Path) -> None:
    root = fill(tmp_path / "root")
    add_what_only_root_can(root)
    add_xattrs(root)
    assert_the_same(Squashfs(made(tmp_path, root=root)), root)


def test_one_that_begins_inside_a_file(tmp_path: Path) -> None:
    image = made(tmp_path)
    card = tmp_path / "card"
    card.write_bytes(bytes(1 << 20) + image.read_bytes())
    squashfs = Squashfs(card, 1 << 20)
    assert_the_same(squashfs, tmp_path / "root")
    assert_extents_hold_the_bytes(squashfs, card)


def test_what_each_file_takes_is_all_that_there_is(tmp_path: Path) -> None:
    image = made(tmp_path)
    files = {e.inode: e for e in Squashfs(image).entries() if stat.S_ISREG(e.mode)}
    stored = sum(entry.stored or 0 for entry in files.values())
    metadata = 30_000
    assert image.stat().st_size - metadata < stored < image.stat().st_size


def test_a_compressed_byte_belongs_to_its_file(tmp_path: Path) -> None:
    squashfs = Squashfs(made(tmp_path))
    entries = {str(entry.path): entry for entry in squashfs.entries()}
    ((start, _),) = entries["/usr/lib/random"].extents[:1]
    assert [str(path) for path in squashfs.files_at(start + 10)] == ["/usr/lib/random"]


def test_what_is_not_read_here_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="compressed with lz4, which is not read here"):
        Squashfs(made(tmp_path, "-comp", "lz4"))


def test_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(4096))
    with pytest.raises(ConfigError, match="is no squashfs"):
        Squashfs(tmp_path / "image")


def test_flipped_bytes_end_in_a_sentence_or_are_read(tmp_path: Path) -> None:
    image = made(tmp_path)
    size = image.stat().st_size
    assert_survives_flips(Squashfs, image, [*range(96), *range(size - 8000, size)])
