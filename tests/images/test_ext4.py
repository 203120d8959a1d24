"""The ext4 as e2fsck and the kernel see it, and that it is always the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from rootfs_tool.errors import ConfigError, MissingToolError
from rootfs_tool.filesystem.ext4 import Ext4 as Reader
from rootfs_tool.images import ext4, ext4records
from rootfs_tool.images.base import Contents
from rootfs_tool.images.ext4 import Ext4
from rootfs_tool.tree import Directory, File, Symlink, Tree
from tests.images.sample import EPOCH, LONG, a_tree, assert_is, mounted, shuffled

MIB = 1 << 20
ID = UUID("11111111-2222-3333-4444-555555555555")


def written(tree: Tree, out: Path, *, size: int = 0, offset: int = 0, epoch: int = EPOCH) -> Path:
    size = size or ext4.needed(tree)
    with out.open("wb") as file:
        file.truncate(offset + size)
    ext4.write(tree, out, offset=offset, size=size, epoch=epoch, label="rootfs", uuid=ID)
    return out


def is_clean(image: Path, offset: int = 0) -> None:
    name = f"{image}?offset={offset}"
    done = subprocess.run(["e2fsck", "-f", "-n", name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Before its first pass it may ask about a time that is in the future.
    assert "? no" not in done.stdout.split("Pass 1:")[1]


@pytest.mark.root
def test_the_kernel_finds_the_tree_and_writes_to_it(tmp_path: Path) -> None:
    tree = a_tree(tmp_path)
    out = tmp_path / "image"
    Ext4().write(Contents(rootfs=tree, initramfs=Tree()), out, epoch=EPOCH)
    with mounted(out, tmp_path / "at", kind="ext4") as root:
        assert_is(tree, root)
    with mounted(out, tmp_path / "at", kind="ext4", options="rw") as root:
        for number in range(500):
            (root / "usr" / "share" / f"new{number}").write_bytes(b"new" * 3000)
        (root / "usr" / "lib" / "big").unlink()
    is_clean(out)


def test_only_its_own_bytes_change(tmp_path: Path) -> None:
    tree, out = a_tree(tmp_path), tmp_path / "image"
    size = ext4.needed(tree)
    around = b"\xa5" * (3 * MIB)
    out.write_bytes(around)
    with out.open("ab") as file:
        file.truncate(3 * MIB + size)
        file.seek(3 * MIB + size)
        file.write(around)
    ext4.write(tree, out, offset=3 * MIB, size=size, epoch=EPOCH, label="rootfs", uuid=ID)
    image = out.read_bytes()
    assert image[: 3 * MIB] == image[3 * MIB + size :] == around
    is_clean(out, 3 * MIB)
    assert image[3 * MIB : 3 * MIB + size] == written(tree, tmp_path / "alone").read_bytes()


def test_the_same_tree_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = a_tree(tmp_path)
    first = written(tree, tmp_path / "first").read_bytes()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("E2FSPROGS_FAKE_TIME", "1000000000")
    monkeypatch.setenv("MKE2FS_CONFIG", str(tmp_path / "another"))
    old = os.umask(0o077)
    try:
        (tmp_path / "elsewhere").mkdir()
        assert written(shuffled(tree), tmp_path / "elsewhere" / "second").read_bytes() == first
    finally:
        os.umask(old)


def test_the_bytes_are_those_of_every_release(tmp_path: Path) -> None:
    """Of ours and of mke2fs: a change here wants a CHANGELOG line."""
    image = written(a_tree(tmp_path), tmp_path / "image").read_bytes()
    assert hashlib.sha256(image).hexdigest()[:16] == "de57ae7f7be2680e"


@pytest.mark.parametrize("epoch", [0, 1, (1 << 31) + 5, (1 << 32) - 1])
def test_every_time_is_the_epoch(tmp_path: Path, epoch: int) -> None:
    out = written(a_tree(tmp_path), tmp_path / "image", epoch=epoch)
    assert {entry.mtime for entry in Reader(out).entries()} == {epoch}
    is_clean(out)


def test_it_can_grow_to_64_times_its_size(tmp_path: Path) -> None:
    out = written(a_tree(tmp_path), tmp_path / "image")
    size = out.stat().st_size * 64
    os.truncate(out, size)
    subprocess.run(["resize2fs", out], check=True, capture_output=True)
    is_clean(out)
    reader = Reader(out)
    assert reader.volume.superblock.blocks == size // 4096
    assert (
        b"".join(reader.read(next(e for e in reader.entries() if e.path.name == "big")))
        == (tmp_path / "on disk").read_bytes()
    )


def small_files() -> Tree:
    tree = Tree()
    for number in range(6000):
        tree.add(f"/d{number % 7}/{number}", File(content=b"x"), origin="a")
    return tree


def directories() -> Tree:
    tree = Tree()
    for number in range(3000):
        tree.add(
            f"/{number % 50}/{number}", Directory(xattrs=(("user.x", b"y" * 200),)), origin="a"
        )
    return tree


def long_names() -> Tree:
    tree = Tree()
    for number in range(3000):
        tree.add(f"/d/{number:0255}", Symlink(LONG), origin="a")
    return tree


def one_large_file() -> Tree:
    tree = Tree()
    tree.add("/large", File(content=bytes(range(256)) * (150 << 12)), origin="a")
    return tree


@pytest.mark.parametrize("make", [Tree, small_files, directories, long_names, one_large_file])
def test_what_is_needed_is_enough(tmp_path: Path, make: type[Tree]) -> None:
    tree = make()
    out = written(tree, tmp_path / "image")
    is_clean(out)
    assert len(list(Reader(out).entries())) == max(len(list(tree.walk())), 1) + 1


def test_a_file_in_many_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ext4records, "LONGEST_RUN", 3)  # else it takes gigabytes
    tree, content = Tree(), bytes(n % 251 for n in range(4096 * 3 * 800))
    tree.add("/pieces", File(content=content), origin="a")
    tree.add("/after", File(content=b"after"), origin="a")
    out = written(tree, tmp_path / "image")
    reader = Reader(out)
    by_name = {entry.path.name: entry for entry in reader.entries()}
    assert len(by_name["pieces"].extents) >= 800
    assert b"".join(reader.read(by_name["pieces"])) == content
    is_clean(out)


def test_a_large_one_takes_no_more_of_the_disk(tmp_path: Path) -> None:
    out = written(a_tree(tmp_path), tmp_path / "image", size=8 << 30)
    is_clean(out)
    assert sum(end - start for start, end in Reader(out).used()) < 32 * MIB


@pytest.mark.parametrize(
    ("size", "reason"),
    [(8, "16 are the least"), (20, "does not fit into an ext4 of 20 MiB")],
)
def test_what_does_not_fit_is_an_error(tmp_path: Path, size: int, reason: str) -> None:
    tree = Tree()
    tree.add("/large", File(content=bytes(30 * MIB)), origin="a")
    with pytest.raises(ConfigError, match=reason):
        written(tree, tmp_path / "image", size=size * MIB)


@pytest.mark.parametrize(
    ("path", "node", "reason"),
    [
        ("/" + "n" * 256, File(content=b""), "the name of /n+ is too long"),
        ("/link", Symlink("x" * 4096), "the link /link is too long"),
        ("/gone", File(content=Path("/nonexistent")), "/nonexistent: No such file"),
        ("/acl", File(content=b"", xattrs=(("system.posix_acl_access", b""),)), "system.posix"),
        ("/much", File(content=b"", xattrs=(("user.x", b"x" * 4096),)), "than a block holds"),
    ],
)
def test_what_an_ext4_cannot_hold_is_named(
    tmp_path: Path, path: str, node: File | Symlink, reason: str
) -> None:
    tree = Tree()
    tree.add(path, node, origin="a")
    with pytest.raises(ConfigError, match=reason):
        written(tree, tmp_path / "image", size=32 * MIB)


def test_a_host_without_mke2fs_is_told_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.proc._path", lambda: str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        written(Tree(), tmp_path / "image")
    assert caught.value.hint == "apt install e2fsprogs"
