"""The squashfs as unsquashfs and the kernel see it, and that it is always the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.images import squashfs
from rootfs_tool.images.base import Contents
from rootfs_tool.images.squashfs import Squashfs
from rootfs_tool.tree import Directory, File, Tree
from tests.images.sample import EPOCH, a_tree, assert_is, mounted, shuffled


def of_root(host: Path) -> Tree:
    tree = a_tree(host)
    tree.add("/", Directory(mode=0o711), origin="a", replace=True)
    return tree


def written(tree: Tree, out: Path) -> Path:
    Squashfs().write(Contents(rootfs=tree, initramfs=Tree()), out, epoch=EPOCH)
    return out


@pytest.mark.root
def test_the_kernel_finds_the_tree(tmp_path: Path) -> None:
    tree = of_root(tmp_path)
    out = written(tree, tmp_path / "image")
    with mounted(out, tmp_path / "at", kind="squashfs") as root:
        assert_is(tree, root)


def test_it_lists_owners_and_devices(tmp_path: Path) -> None:
    out = written(of_root(tmp_path), tmp_path / "image")
    listing = subprocess.run(
        ["unsquashfs", "-lln", out],
        check=True,
        capture_output=True,
        env={**os.environ, "TZ": "UTC"},
    ).stdout.decode(errors="surrogateescape")
    rows = [" ".join(line.split()) for line in listing.splitlines()]
    assert rows[0] == "drwx--x--x 0/0 95 2025-01-01 00:00 squashfs-root"
    assert "crw------- 0/0 5, 1 2025-01-01 00:00 squashfs-root/dev/console" in rows
    assert "-rwsr-xr-x 100000/0 4 2025-01-01 00:00 squashfs-root/usr/bin/su" in rows


@pytest.mark.parametrize("processors", [1, 2])
def test_the_same_tree_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    tree = of_root(tmp_path)
    first = written(tree, tmp_path / "first").read_bytes()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    mine, old = os.sched_getaffinity(0), os.umask(0o077)
    os.sched_setaffinity(0, sorted(mine)[:processors])
    try:
        assert written(shuffled(tree), tmp_path / "second").read_bytes() == first
    finally:
        os.umask(old)
        os.sched_setaffinity(0, mine)


def test_only_its_own_bytes_of_a_larger_file_change(tmp_path: Path) -> None:
    tree, out = of_root(tmp_path), tmp_path / "image"
    out.write_bytes(b"\xa5" * (3 << 20))
    length = squashfs.write(tree, out, offset=1 << 20, epoch=EPOCH)
    image, alone = out.read_bytes(), written(tree, tmp_path / "alone").read_bytes()
    assert length == len(alone)
    assert image[1 << 20 : (1 << 20) + length] == alone
    assert set(image[: 1 << 20] + image[(1 << 20) + length :]) == {0xA5}
    assert {path.name for path in tmp_path.iterdir()} == {"on disk", "image", "alone"}


@pytest.mark.parametrize(
    ("path", "node", "reason"),
    [
        (
            "/acl",
            File(content=b"", xattrs=(("system.posix_acl_access", b""),)),
            "/acl has .* system",
        ),
        ("/", Directory(xattrs=(("user.x", b""),)), "/ of a squashfs"),
        ("/", Directory(uid=1), "/ of a squashfs"),
        ("/gone", File(content=Path("/nonexistent")), "/nonexistent: No such file"),
    ],
)
def test_what_a_squashfs_cannot_hold_is_named(
    tmp_path: Path, path: str, node: File | Directory, reason: str
) -> None:
    tree = Tree()
    tree.add(path, node, origin="a")
    with pytest.raises(ConfigError, match=reason):
        written(tree, tmp_path / "image")


def test_what_mksquashfs_says_is_shown(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"mksquashfs - .* exited 1\n.*No such file"):
        written(of_root(tmp_path), tmp_path / "nowhere" / "image")
