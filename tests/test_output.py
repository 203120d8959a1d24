"""The directory out/: what is put there, and what is not."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from rootfs_tool import output, store
from rootfs_tool.errors import ConfigError


def test_a_file_of_somebody_else_s_is_not_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "Image"
    mine.write_text("a kernel of mine")
    with pytest.raises(ConfigError, match=f"{mine} was not made by a build") as caught:
        build(tmp_path)
    assert "-o names another directory" in (caught.value.hint or "")
    assert mine.read_text() == "a kernel of mine"
    assert [path.name for path in tmp_path.iterdir()] == ["Image"]


def test_other_files_may_lie_there(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    build(tmp_path)


def test_what_a_build_made_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "Image").touch()
    (tmp_path / "manifest.json").write_text("damaged, but there")
    build(tmp_path)


def test_so_is_what_a_build_left_that_was_killed_while_it_moved_its_files(tmp_path: Path) -> None:
    (tmp_path / "Image").touch()
    (tmp_path / output.NEW).mkdir()
    (tmp_path / output.NEW / "manifest.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), output.opened(tmp_path):
        raise KeyboardInterrupt
    build(tmp_path)


def build(out: Path) -> None:
    with output.opened(out) as new:
        new.reserve("Image").write_text("a kernel")


def test_of_a_copy_the_place_is_named_and_not_the_source(tmp_path: Path) -> None:
    source, out = tmp_path / "kernel", tmp_path / "out"
    source.write_bytes(os.urandom(4096))
    with pytest.raises(ConfigError, match=f"{out}/.new/Image: File too large") as caught:
        copy_with_room_for_9_bytes(source, out)
    assert "-o names a place" in (caught.value.hint or "")


def test_another_place_is_no_hint_about_what_a_build_reads(tmp_path: Path) -> None:
    none, out = tmp_path / "none", tmp_path / "out"
    with (
        pytest.raises(ConfigError, match=f"{none}: No such file") as caught,
        output.opened(out) as new,
    ):
        new.copy(none, "Image")
    assert caught.value.hint is None
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=f"{tmp_path}/file/out: Not a dir") as caught,
        output.opened(tmp_path / "file" / "out"),
    ):
        pass
    assert "-o names a place" in (caught.value.hint or "")


@pytest.mark.parametrize("place", [output.opened, store.unwritable])
def test_a_reader_that_has_gone_is_no_place_that_can_t_be_written(
    tmp_path: Path, place: Callable[[Path], AbstractContextManager[object]]
) -> None:
    """Steps and notes are written while a build is made: ``build … 2>&1 | head``."""
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError), place(tmp_path), os.fdopen(write, "wb", 0) as said:
        said.write(b"x")


def copy_with_room_for_9_bytes(source: Path, out: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with output.opened(out) as new:
            resource.setrlimit(resource.RLIMIT_FSIZE, (9, hard))
            new.copy(source, "Image")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
