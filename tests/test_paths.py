"""The search path: first match wins, and a user's directories come before the packaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import paths


def put(directory: Path, name: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("")
    return directory / name


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("ROOTFS_TOOL_PATH", f"{tmp_path}/one:{tmp_path}/two")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_order_of_the_search_path(here: Path) -> None:
    assert list(paths.search_path("boards")) == [
        here / "cwd" / "boards",
        here / "one" / "boards",
        here / "two" / "boards",
        here / "config" / "rootfs-tool" / "boards",
        paths.packaged("boards"),
    ]


def test_every_file_of_a_name_first_match_first(here: Path) -> None:
    first = put(here / "one" / "boards", "mine.toml")
    second = put(here / "config" / "rootfs-tool" / "boards", "mine.toml")
    put(here / "one" / "boards", "notes.txt")
    found = paths.named("boards", ".toml")
    assert found["mine"] == [first, second]
    assert "notes" not in found
    assert found["qemu-aarch64"] == [paths.packaged("boards").resolve() / "qemu-aarch64.toml"]


def test_a_directory_named_twice_counts_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(here / "one" / "boards", "mine.toml")
    monkeypatch.setenv("ROOTFS_TOOL_PATH", f"{here}/one:{here}/one/../one")
    assert paths.named("boards", ".toml")["mine"] == [file]


def test_a_relative_xdg_directory_is_ignored(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(here / "home"))
    assert here / "home" / ".config" / "rootfs-tool" / "boards" in paths.search_path("boards")


def test_the_cache_directory_is_made(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    assert paths.cache() == here / "cache" / "rootfs-tool"
    assert paths.cache().is_dir()
