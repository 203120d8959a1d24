"""Images that mkfs.erofs made, as our reader sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.erofs import Erofs
from tests.filesystem.sample import (
    add_what_only_root_can,
    add_xattrs,
    assert_extents_hold_the_bytes,
    assert_survives_flips,
    assert_the_same,
    fill,
    run,
)


@pytest.mark.parametrize("options", [(), ("-zlz4hc",), ("-Eforce-inode-extended",)], ids=str)
def test_everything_is_there(tmp_path: Path, options: tuple[str, ...]) -> None:
    root, image = fill(tmp_path / "root"), tmp_path / "image"
    run("mkfs.erofs", *options, image, root)
    assert_the_same(Erofs(image), root)
    assert_extents_hold_the_bytes(Erofs(image), image)


@pytest.mark.root
def test_devices_owners_and_attributes(tmp_path: Path) -> None:
    root, image = fill(tmp_path / "root"), tmp_path / "image"
    add_what_only_root_can(root)
    add_xattrs(root)
    run("mkfs.erofs", image, root)
    assert_the_same(Erofs(image), root)


def test_what_a_compressed_file_takes(tmp_path: Path) -> None:
    root, image = fill(tmp_path / "root"), tmp_path / "image"
    run("mkfs.erofs", "-zlz4hc", image, root)
    files = {str(entry.path): entry for entry in Erofs(image).entries()}
    text = files["/usr/lib/text"]
    assert text.stored is not None
    assert 0 < text.stored < text.size / 2


def test_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(4096))
    with pytest.raises(ConfigError, match="is no erofs"):
        Erofs(tmp_path / "image")


def test_flipped_bytes_end_in_a_sentence_or_are_read(tmp_path: Path) -> None:
    image = tmp_path / "image"
    run("mkfs.erofs", image, fill(tmp_path / "root"))
    # The superblock and the first inodes; what follows them is another thing with each mkfs.erofs.
    assert_survives_flips(Erofs, image, range(1024, 4096))
