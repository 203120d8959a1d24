"""Builds that the tests boot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.command import built, rootfs_tool


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

    return partial(built, tmp_path)
