"""The erofs as the kernel sees it, and that it is always the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import MissingToolError
from rootfs_tool.images.base import Contents
from rootfs_tool.images.erofs import Erofs
from rootfs_tool.tree import Tree
from tests.images.sample import EPOCH, a_tree, assert_is, mounted, shuffled

reads_archives = pytest.mark.skipif(
    "--tar="
    not in subprocess.run(
        ["sh", "-c", "mkfs.erofs --help || true"], capture_output=True, text=True, check=True
    ).stdout,
    reason="mkfs.erofs is older than 1.7",
)


def written(tree: Tree, out: Path) -> Path:
    Erofs().write(Contents(rootfs=tree, initramfs=Tree()), out, epoch=EPOCH)
    return out


@reads_archives
@pytest.mark.root
def test_the_kernel_finds_the_tree(tmp_path: Path) -> None:
    tree = a_tree(tmp_path)
    out = written(tree, tmp_path / "image")
    with mounted(out, tmp_path / "at", kind="erofs") as root:
        assert_is(tree, root)


@reads_archives
@pytest.mark.parametrize("processors", [1, 2])
def test_the_same_tree_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    tree = a_tree(tmp_path)
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


def test_an_old_mkfs_erofs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "mkfs.erofs"
    old.write_text("#!/bin/sh\n[ $# = 1 ] && echo 'usage: [options] FILE DIRECTORY' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MissingToolError, match=r"too old") as caught:
        written(Tree(), tmp_path / "image")
    assert caught.value.hint is not None
    assert "erofs-utils 1.7" in caught.value.hint
