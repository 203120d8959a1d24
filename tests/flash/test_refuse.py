"""Which disks are refused, why, and what is said to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path

import pytest

from rootfs_tool.errors import DeviceError
from rootfs_tool.flash import block, refuse
from rootfs_tool.flash.disk import Disk, inspect
from rootfs_tool.flash.holders import Holder
from tests.loop import MIB, attached, mounted, output

pytestmark = pytest.mark.root


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    with attached(tmp_path / "card.img", size=4 * MIB) as device:
        yield device


def refused(disk: Disk, *, needs: int = 0, really: Path | None = None) -> str:
    """The one line that says why not, and the hint after it."""
    with pytest.raises(DeviceError) as caught:
        refuse.check(disk, needs=needs, really=really)
    assert str(caught.value).startswith(str(disk))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert caught.value.hint
    return f"{caught.value} -> {caught.value.hint}"


def test_a_loop_device_is_a_file_and_may_be_written(device: Path) -> None:
    refuse.check(inspect(device), needs=4 * MIB)


def test_too_small_by_a_byte(device: Path) -> None:
    said = refused(inspect(device), needs=4 * MIB + 1)
    assert "too small: the image has 4,194,305 bytes, it has 4,194,304" in said


def test_mounted(device: Path, tmp_path: Path) -> None:
    output("mkfs.ext4", "-q", device)
    with mounted(device, tmp_path / "a", tmp_path / "b c"):
        said = refused(inspect(device))
    assert f"is mounted at {tmp_path}/a, {tmp_path}/b c" in said
    assert said.endswith(f"-> umount '{tmp_path}/b c' {tmp_path}/a")


def test_swapped_on(device: Path) -> None:
    output("mkswap", device)
    output("swapon", device)
    try:
        said = refused(inspect(device))
    finally:
        output("swapoff", device)
    assert "is swapped on" in said
    assert said.endswith(f"-> swapoff {device}")


def test_held(device: Path) -> None:
    with attached(device) as upper:
        said = refused(inspect(device))
    assert f"is part of {upper} (loop)" in said
    assert said.endswith(f"-> losetup --detach {upper}")


def test_held_by_lvm_over_encryption(device: Path) -> None:
    """Device-mapper may not be in this kernel: what it would say is put in the disk's place."""
    over = (
        Holder(device="/dev/mapper/vg-a", kind="LVM", release="vgchange --activate n vg"),
        Holder(device="/dev/mapper/vg-b", kind="LVM", release="vgchange --activate n vg"),
        Holder(device="/dev/mapper/c", kind="encryption", release="cryptsetup close c"),
    )
    said = refused(replace(inspect(device), holders=over))
    assert "part of /dev/mapper/vg-a (LVM), /dev/mapper/vg-b (LVM), /dev/mapper/c (encr" in said
    assert said.endswith("-> vgchange --activate n vg && cryptsetup close c")


def test_read_only(tmp_path: Path) -> None:
    with attached(tmp_path / "card.img", "--read-only", size=MIB) as device:
        assert "is read-only" in refused(inspect(device))


def test_larger_than_any_card_unless_named_twice(tmp_path: Path) -> None:
    with attached(tmp_path / "disk.img", size=refuse.LARGE + MIB) as device:
        disk = inspect(device)
        assert f"--really {device}" in refused(disk)
        refuse.check(disk, really=device)
        with attached(tmp_path / "other.img", size=MIB) as other:
            assert f"is not {other}" in refused(disk, really=other)


def test_built_in_unless_named_twice(device: Path) -> None:
    """A disk on SATA, put together from a loop device and what /sys would say of the bus."""
    loop = inspect(device)
    disk = replace(loop, transport="sata")
    said = refused(disk)
    assert "is built in: not removable, not on USB or MMC" in said
    assert said.endswith(f"name it twice: --really {device}")
    refuse.check(disk, really=device)
    for card in (replace(loop, transport="usb"), replace(loop, transport="sata", removable=True)):
        refuse.check(card)


@pytest.mark.parametrize("part", ["/", "/boot", "/boot/firmware", "/usr", "/home"])
def test_a_part_of_this_computer_is_never_written(device: Path, part: str) -> None:
    disk = replace(inspect(device), mounts=("/media/card", part))
    said = refused(disk, really=device)
    assert f"holds {part} of this computer" in said
    assert "umount" not in said


def test_the_disk_below_the_root_of_this_machine() -> None:
    """The real one, which is only looked at."""
    try:
        root = block.find(Path("/").stat().st_dev).disk
    except OSError:
        pytest.skip("/ is on no block device, as in a container")
    disk = inspect(Path("/dev", root.name))
    for really in (None, disk.device):
        assert "holds /" in refused(disk, really=really)


def test_a_reader_without_a_card() -> None:
    with empty_loop() as device:
        assert "there is no card in it" in refused(inspect(device))


@contextmanager
def empty_loop() -> Iterator[Path]:
    """A loop device without a file, that nobody else is handed in the meantime."""
    add, remove = 0x4C80, 0x4C81  # loop(4): LOOP_CTL_ADD, LOOP_CTL_REMOVE
    number = 1000 + os.getpid() % 10_000
    with Path("/dev/loop-control").open("rb") as control:
        ioctl(control, add, number)
        try:
            yield Path(f"/dev/loop{number}")
        finally:
            ioctl(control, remove, number)


def test_open_for_another_process_alone(device: Path) -> None:
    """What formats a disk, such as mkfs, holds it with O_EXCL."""
    script = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL); print(flush=True)"
    with talking(sys.executable, "-c", f"{script}; input()", device) as pid:
        said = refused(inspect(device))
    assert "is in use: " in said
    assert f"(process {pid}) has it open" in said
    refuse.check(inspect(device))


def test_mounted_where_only_another_process_sees_it(device: Path, tmp_path: Path) -> None:
    output("mkfs.ext4", "-q", device)
    script = 'mount "$0" "$1" && echo && read -r line; umount "$1"'
    with talking("unshare", "--mount", "sh", "-c", script, device, tmp_path) as pid:
        assert inspect(device).mounts == ()
        said = refused(inspect(device))
    assert f"sh (process {pid}) has it mounted at {tmp_path}" in said


@contextmanager
def talking(*argv: str | Path) -> Iterator[int]:
    """A process that has said that it is ready, and ends when its stdin does; its number."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process.pid
        process.communicate("\n")
