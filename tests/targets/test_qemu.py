"""The command line of a machine: what this host has to do with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootfs_tool.arch import Arch
from rootfs_tool.manifest import Build, BuiltFile
from rootfs_tool.targets.card import Start
from rootfs_tool.targets.qemu import Qemu

FILE = BuiltFile(name="Image", size=0, sha256="")
BUILD = Build(
    directory=Path("out"),
    board="board",
    arch=Arch.aarch64,
    cmdline="",
    epoch=0,
    kernel=FILE,
    device_tree=None,
    images=(),
    recipe=FILE,
    artefacts=(),
)
START = Start(kernel=Path("Image"), cmdline="", initramfs=None, device_tree=None)


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """This process may use one CPU alone, as on a host that has no other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_cpu")
@pytest.mark.parametrize(
    ("machine", "smp", "shared"),
    [("virt", 2, True), ("virt", 1, False), ("virt", None, False), ("raspi3b", None, True)],
)
def test_cpus_that_outnumber_the_host_s_share_a_thread(
    machine: str, smp: int | None, shared: bool
) -> None:
    argv = Qemu(machine=machine, smp=smp).argv(BUILD, START)
    assert ("tcg,thread=single" in argv) == shared


@pytest.mark.usefixtures("one_cpu")
def test_a_machine_that_says_its_accelerator_keeps_it() -> None:
    """QEMU takes no -accel beside it."""
    argv = Qemu(machine="virt,accel=tcg", smp=2).argv(BUILD, START)
    assert "-accel" not in argv


def test_as_many_as_the_host_has_run_side_by_side() -> None:
    argv = Qemu(machine="virt", smp=len(os.sched_getaffinity(0))).argv(BUILD, START)
    assert "-accel" not in argv
