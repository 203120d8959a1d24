"""The real cross-compiler, a cache of the test's own, and what it started."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootfs_tool import events
from rootfs_tool.arch import Arch
from rootfs_tool.toolchain.compiler import Toolchain


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a directory with a space in its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "the cache"))
    return tmp_path / "the cache" / "rootfs-tool"


@pytest.fixture
def glibc() -> Toolchain:
    return Toolchain(arch=Arch.aarch64, musl=None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that we are in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def started(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The command lines of the host programs that were started since the last time."""
    caplog.set_level(logging.DEBUG, "rootfs_tool.proc")

    def lines() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return lines


@pytest.fixture
def notes() -> Iterator[list[str]]:
    """What a person has been told."""
    found: list[str] = []
    with events.listening(lambda event: found.append(event.text) if event.kind == "note" else None):
        yield found
