"""A build where another one was, or is: what goes, what stays, and who is not disturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from rootfs_tool import manifest
from rootfs_tool.build import build
from rootfs_tool.errors import ConfigError
from rootfs_tool.images import Cpio
from rootfs_tool.recipe import find
from tests.conftest import CHECKOUT
from tests.place import BOARD, CODE, Place


def test_files_that_are_not_built_any_more_go_and_others_stay(place: Place) -> None:
    place.build()
    (place.out / "runs").mkdir()
    (place.out / "runs" / "report.json").write_text("mine")
    place.board.write_text(
        BOARD.replace('device-tree = "broadcom/bcm2837-rpi-3-b.dtb"\n', "")
        + 'compression = "none"\n'
    )
    place.build()
    assert "bcm2837-rpi-3-b.dtb" not in place.listing()
    assert "initramfs.cpio.zst" not in place.listing()
    assert "initramfs.cpio" in place.listing()
    assert place.listing()["runs/report.json"] == b"mine"


def test_a_manifest_can_not_name_files_elsewhere(place: Place) -> None:
    built = place.build()
    (place.root / "mine").write_text("mine")
    table = json.loads((place.out / "manifest.json").read_text())
    table["artefacts"][0]["licence"] = "../mine"
    table["artefacts"][1]["licence"] = str(place.root / "mine")
    (place.out / "manifest.json").write_text(json.dumps(table))
    assert place.build() == built
    assert (place.root / "mine").read_text() == "mine"


def test_a_failed_build_leaves_the_one_before_as_it_was(place: Place) -> None:
    place.build()
    before = place.listing()
    recipe, file = find(str(place.board))
    twice = recipe.model_copy(update={"image": (Cpio(), Cpio())})
    with pytest.raises(ConfigError, match=r"two files .* initramfs\.cpio\.zst"):
        build(twice, place.out, lock=file.with_suffix(".lock"))
    assert place.listing() == before


def test_a_kernel_that_lies_there_already_is_not_written_again(place: Place) -> None:
    place.build()
    first = place.listing()
    before = (place.out / "Image").stat()
    place.build()
    assert place.listing() == first
    after = (place.out / "Image").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert after.st_nlink == 1


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"N" + data[1:]])
def test_a_damaged_one_is_put_right(place: Place, damage: Callable[[bytes], bytes]) -> None:
    place.build()
    first = place.listing()
    for name in ("Image", "initramfs.cpio.zst", "recipe.json"):
        (place.out / name).write_bytes(damage(first[name]))
    place.build()
    assert place.listing() == first


def test_a_link_in_the_place_of_a_file_is_replaced(place: Place) -> None:
    place.build()
    first = place.listing()
    (place.out / "Image").rename(place.root / "mine")
    (place.out / "Image").symlink_to(place.root / "mine")
    place.build()
    assert not (place.out / "Image").is_symlink()
    assert place.listing() == first


def test_a_killed_build_is_cleaned_up_by_the_next(place: Place) -> None:
    (place.out / ".new").mkdir(parents=True)
    (place.out / ".new" / "Image").write_text("half")
    place.build()
    assert not (place.out / ".new").exists()


def test_ctrl_c_leaves_the_old_build_and_nothing_else(place: Place) -> None:
    place.build()
    before = place.listing()
    (place.with_overlay() / "big").write_bytes(os.urandom(1 << 20) * 96)
    with subprocess.Popen(
        [sys.executable, "-c", CODE, place.root / "recipe.toml", place.out],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    ) as child:
        while not (place.out / ".new" / "initramfs.cpio.zst").exists():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(20) != 0
    assert place.listing() == before
    assert not (place.out / ".new").exists()
    assert manifest.load(place.out).board == "board"


def test_two_builds_at_once_into_one_directory(place: Place) -> None:
    place.build()
    first = place.listing()
    shutil.rmtree(place.root / "cache" / "rootfs-tool" / "modules")
    shutil.rmtree(place.root / "cache" / "rootfs-tool" / "init")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, place.board, place.out],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        for _ in range(3)
    ]
    assert [child.wait(60) for child in running] == [0, 0, 0]
    assert place.listing() == first


def test_an_out_that_can_not_be_written(place: Place) -> None:
    (place.root / "out").write_text("a file")
    with pytest.raises(ConfigError, match=r"out: (File exists|Not a directory)"):
        place.build()
    assert (place.root / "out").read_text() == "a file"
