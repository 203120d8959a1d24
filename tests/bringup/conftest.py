"""Builds that the tests boot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import rootfs_tool


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of qemu-aarch64."""
    directory = tmp_path_factory.mktemp("build with a space") / "out"
    ran = rootfs_tool("build", "qemu-aarch64", "-o", directory, timeout=600)
    assert ran.status == 0, ran.said
    return directory


@pytest.fixture
def variant(tmp_path: Path) -> Callable[[str], Path]:
    """A build of qemu-aarch64 with some lines of a recipe changed."""

    def built(lines: str) -> Path:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(f'board = "qemu-aarch64"\n{lines}')
        ran = rootfs_tool("build", recipe, "-o", tmp_path / "out", timeout=600)
        assert ran.status == 0, ran.said
        return tmp_path / "out"

    return built
