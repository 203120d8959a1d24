from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import HandMade


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a directory with a space in its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "the cache"))
    return tmp_path / "the cache" / "rootfs-tool"


@pytest.fixture
def archive(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> HandMade:
    """A Debian archive of the test's own, and nothing in the cache."""
    made = HandMade(tmp_path / "archive")
    made.publish()
    monkeypatch.setenv("ROOTFS_TOOL_APT_SOURCES", str(made.sources))
    return made
