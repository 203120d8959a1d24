"""The part of an initramfs that the cache keeps: the same bytes, whatever became of it there."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from io import BufferedRandom
from pathlib import Path
from typing import Any

import pytest

from rootfs_tool import newc, segments
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.tree import File, Tree

EPOCH = 1_735_689_600


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache keeps them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "rootfs-tool" / "segments"


def initramfs(
    out: Path, *, usr: bytes = b"busybox" * 9999, init: bytes = b"#!", epoch: int = EPOCH
) -> bytes:
    tree = Tree()
    tree.add("/usr/bin/busybox", File(content=usr, mode=0o755), origin="a")
    tree.add("/etc/init.d/rcS", File(content=init, mode=0o755), origin="a")
    newc.write(tree, out, epoch=epoch)
    return out.read_bytes()


def entries(shelf: Path) -> set[Path]:
    return {path for path in shelf.iterdir() if path.name != ".lock"}


def kept(entry: Path) -> Path:
    """The file of an entry."""
    (file,) = (entry / "files").iterdir()
    return file


def put(entry: Path, content: bytes) -> None:
    """Other bytes in the place of an entry's, and nothing wrong with them."""
    name = hashlib.sha256(content).hexdigest()
    kept(entry).rename(entry / "files" / name).write_bytes(content)
    rows = {f"/{name}": [0o100644, 0, 0, len(content)]}
    (entry / "index.json").write_text(json.dumps({"format": 1, "rows": rows}))


def test_a_changed_init_line_takes_the_rest_from_the_cache(tmp_path: Path, shelf: Path) -> None:
    first = initramfs(tmp_path / "out")
    (entry,) = entries(shelf)
    assert first.startswith(kept(entry).read_bytes())
    put(entry, b"what only a copy can hold")
    assert initramfs(tmp_path / "out", init=b"#!/bin/sh").startswith(b"what only a copy can hold")
    assert entries(shelf) == {entry}


@pytest.mark.parametrize(
    "change", [{"usr": b"another"}, {"epoch": EPOCH + 1}], ids=["a file", "the time"]
)
def test_another_base_is_another_entry(tmp_path: Path, shelf: Path, change: dict[str, Any]) -> None:
    first = initramfs(tmp_path / "out")
    changed = initramfs(tmp_path / "out", **change)
    assert len(entries(shelf)) == 2
    assert initramfs(tmp_path / "out") == first
    assert initramfs(tmp_path / "out", **change) == changed != first


def flip(entry: Path) -> None:
    content = bytearray(kept(entry).read_bytes())
    content[len(content) // 2] ^= 1
    kept(entry).write_bytes(content)


def cut(entry: Path) -> None:
    kept(entry).write_bytes(kept(entry).read_bytes()[:-1])


def empty(entry: Path) -> None:
    (entry / "index.json").write_text('{"format": 1, "rows": {}}')


def tear(entry: Path) -> None:
    (entry / "index.json").write_text('{"format": 1, "ro')


def lose(entry: Path) -> None:
    kept(entry).unlink()


@pytest.mark.parametrize("damage", [flip, cut, empty, tear, lose])
def test_what_is_damaged_is_made_again(
    tmp_path: Path, shelf: Path, damage: Callable[[Path], None]
) -> None:
    first = initramfs(tmp_path / "out")
    (entry,) = entries(shelf)
    whole = kept(entry).read_bytes()
    damage(entry)
    assert initramfs(tmp_path / "out") == first
    assert kept(entry).read_bytes() == whole


def test_the_cache_does_not_grow_without_end(tmp_path: Path, shelf: Path) -> None:
    for number in range(segments.KEPT):
        initramfs(tmp_path / "out", usr=bytes([number]))
    before = entries(shelf)
    initramfs(tmp_path / "out", usr=b"another")
    assert len(before) == len(entries(shelf)) == segments.KEPT
    assert len(entries(shelf) - before) == 1


def plainly(file: BufferedRandom, blocks: Iterable[bytes]) -> None:
    file.writelines(blocks)


def test_a_file_that_changes_meanwhile(tmp_path: Path, shelf: Path) -> None:
    numbers = itertools.count()
    changed = pytest.raises(ConfigError, match="changed while it was read")
    with (tmp_path / "out").open("w+b") as file, changed:
        segments.write(file, lambda: [b"%d" % next(numbers)], how="", compress=plainly)
    assert not shelf.exists()


def test_how_it_is_compressed_counts(tmp_path: Path, shelf: Path) -> None:
    with (tmp_path / "out").open("w+b") as file:
        for how in ("level 3", "level 9"):
            segments.write(file, lambda: [b"x"], how=how, compress=plainly)
    assert len(entries(shelf)) == 2


def test_a_cache_that_can_not_be_written(tmp_path: Path, shelf: Path) -> None:
    shelf.parent.mkdir()
    shelf.write_text("a file")
    with pytest.raises(FetchError, match="segments: "):
        initramfs(tmp_path / "out")
