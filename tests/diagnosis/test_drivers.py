"""Which module drives a device, by the kernel's package in the cache."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from rootfs_tool.diagnosis import drivers
from rootfs_tool.diagnosis.board import Device
from rootfs_tool.diagnosis.chains import diagnose
from tests.diagnosis.faults import FAULTS
from tests.diagnosis.test_recorded import recorded
from tests.test_kmod import module

RELEASE = "6.12.1-arm64"
CARD = Device(name="0000:00:01.0", alias="pci:v00001234d00005678sv00000000sd00000000bc02sc00i00")
OTHER = Device(name="0000:00:02.0", alias="pci:v0000FFFFd0000FFFFsv00000000sd00000000bc02sc00i00")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which a kernel's package has its network drivers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel = f"unpacked/abc/files/usr/lib/modules/{RELEASE}/kernel/drivers/net"
    directory = tmp_path / "rootfs-tool" / kernel
    directory.mkdir(parents=True)
    made = module(tmp_path, info=["alias=pci:v00001234d00005678sv*sd*bc*sc*i*", "license=GPL"])
    (directory / "some-card.ko.xz").write_bytes(lzma.compress(made))
    (directory / "damaged.ko.xz").write_bytes(b"no xz at all")
    return directory


def test_the_module_is_found_by_its_alias(cache: Path) -> None:
    assert drivers.look([OTHER, CARD], RELEASE) == ((CARD.alias, "some_card"),)


def test_another_kernel_has_not_told_anything(cache: Path) -> None:
    assert drivers.look([CARD], "6.1.0-arm64") == ()
    assert drivers.look([CARD], "") == ()
    assert drivers.look([], RELEASE) == ()


def test_a_board_without_the_module_is_told_which(cache: Path) -> None:
    evidence = recorded(next(one for one in FAULTS if str(one) == "no-driver"))
    board = replace(evidence.board, undriven=(CARD,), aliases=())
    found = drivers.look(board.undriven, RELEASE)
    (one,) = diagnose(replace(evidence, board=board, drivers=found))
    assert "the kernel has not loaded some_card, which drives its card" in one.cause
    assert one.mend.startswith('modules = ["some_card"] in the recipe')
    assert any(CARD.alias in line for line in one.evidence)


def test_what_nobody_drives_is_not_made_up(cache: Path) -> None:
    evidence = recorded(next(one for one in FAULTS if str(one) == "no-driver"))
    board = replace(evidence.board, undriven=(OTHER,), aliases=())
    (one,) = diagnose(replace(evidence, board=board, drivers=()))
    assert one.cause == (
        "the board has no eth0: no driver has made it, and no device waits for one that is known "
        "here"
    )
