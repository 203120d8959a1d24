"""A directory to build in: a board, its lock and its cache, and no way to any archive."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootfs_tool.build import build
from rootfs_tool.manifest import Build
from rootfs_tool.recipe import find
from tests.debian import HandMade, busybox, kernel

BOARD = """\
name = "board"
description = "made for a test"
arch = "aarch64"
[network]
hostname = "board"
[[network.interface]]
name = "eth0"
address = "10.0.0.2/24"
[kernel]
device-tree = "broadcom/bcm2837-rpi-3-b.dtb"
[[source]]
type = "busybox"
[[image]]
type = "cpio"
"""
# A process that builds: the board or recipe, and the directory to build into.
CODE = """\
import sys
from pathlib import Path
from rootfs_tool.build import build
from rootfs_tool.recipe import find
recipe, file = find(sys.argv[1])
build(recipe, Path(sys.argv[2]), lock=file.with_suffix(".lock"))
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with a board in it, whose packages are in the cache beside it."""

    root: Path

    @property
    def board(self) -> Path:
        return self.root / "boards" / "board.toml"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def build(self, **how: bool) -> Build:
        recipe, file = find(str(self.board))
        return build(recipe, self.out, lock=file.with_suffix(".lock"), **how)

    def with_overlay(self) -> Path:
        overlay = self.root / "overlay"
        overlay.mkdir(exist_ok=True)
        recipe = self.root / "recipe.toml"
        recipe.write_text('board = "board"\noverlay = ["overlay"]\n')
        shutil.copy(self.board.with_suffix(".lock"), recipe.with_suffix(".lock"))
        return overlay

    def listing(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for path in sorted(self.out.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board, its lock and its cache; the archive that they came from is gone."""
    root = tmp_path_factory.mktemp("warm")
    archive = HandMade(tmp_path_factory.mktemp("archive"))
    archive.publish(busybox(archive.root), *kernel(archive.root))
    (root / "boards").mkdir()
    (root / "boards" / "board.toml").write_text(BOARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("ROOTFS_TOOL_APT_SOURCES", str(archive.sources))
        Place(root).build()
    shutil.rmtree(root / "out")
    shutil.rmtree(archive.root)
    return root


@pytest.fixture
def place(warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy of all that, and no way to any archive."""
    shutil.copytree(warm, tmp_path / "a place", symlinks=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a place" / "cache"))
    monkeypatch.setenv("ROOTFS_TOOL_APT_SOURCES", str(tmp_path / "none.sources"))
    monkeypatch.chdir(tmp_path / "a place")
    return Place(tmp_path / "a place")
