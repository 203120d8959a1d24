"""What is known of a disk: real loop devices, and for other buses what their /sys says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootfs_tool.errors import DeviceError
from rootfs_tool.flash import block, holders
from rootfs_tool.flash.disk import in_words, inspect
from rootfs_tool.flash.holders import Holder
from tests.loop import MIB, attached, mounted, output, partitioned

TWO = "label: dos\nsize=16MiB, type=c\ntype=83\n"


@pytest.mark.root
def test_a_card_with_two_partitions(tmp_path: Path) -> None:
    file = tmp_path / "card.img"
    with partitioned(file, TWO) as device:
        output("mkfs.vfat", "-n", "MY BOOT", f"{device}p1")
        output("mkfs.ext4", "-q", "-L", 'r$"oot', f"{device}p2")
        disk = inspect(device)
    assert (disk.path, disk.device, disk.rdev) == (device, device, device.stat().st_rdev)
    assert (disk.size, disk.model, disk.transport) == (64 * MIB, str(file), "loop")
    assert not disk.removable
    assert not disk.readonly
    assert disk.contents.table == "dos"
    places = [(one.device, one.number, one.start, one.size) for one in disk.partitions]
    assert places == [
        (f"{device}p1", 1, 1 * MIB, 16 * MIB),
        (f"{device}p2", 2, 17 * MIB, 47 * MIB),
    ]
    held = [(one.contents.filesystem, one.contents.label) for one in disk.partitions]
    assert held == [("vfat", "MY BOOT"), ("ext4", 'r$"oot')]
    assert len(disk.rdevs) == 3
    assert (disk.mounts, disk.swaps, disk.holders) == ((), (), ())
    assert str(disk) == f"{device} ({file}, 67.1 MB)"


@pytest.mark.root
def test_a_label_cannot_give_orders_to_the_terminal(tmp_path: Path) -> None:
    with attached(tmp_path / "card.img", size=4 * MIB) as device:
        output("mkfs.ext4", "-q", "-L", "a\x1b[2Jb", device)
        contents = inspect(device).contents
    assert contents.filesystem == "ext4"
    assert contents.label.isprintable()


@pytest.mark.root
def test_a_link_is_followed(tmp_path: Path) -> None:
    with attached(tmp_path / "card.img", size=MIB) as device:
        (tmp_path / "usb-Card").symlink_to(device)
        disk = inspect(tmp_path / "usb-Card")
        assert (disk.path, disk.device) == (tmp_path / "usb-Card", device)
        assert disk.rdev == inspect(device).rdev


@pytest.mark.root
def test_a_partition_is_not_the_disk(tmp_path: Path) -> None:
    with (
        partitioned(tmp_path / "card.img", TWO) as device,
        pytest.raises(DeviceError, match=rf"p2 is partition 2 of {device} \(.*67.1 MB\)") as caught,
    ):
        inspect(Path(f"{device}p2"))
    assert str(caught.value.hint).endswith(str(device))


def test_what_is_no_disk(tmp_path: Path) -> None:
    (tmp_path / "sdcard.img").touch()
    for path, said in {
        tmp_path / "sdx": "there is no such device",
        tmp_path / "sdcard.img" / "x": "Not a directory",
        tmp_path / "sdcard.img": "is a file, not a disk",
        tmp_path: "is a directory, not a disk",
        Path("/dev/null"): "is a character device, not a disk",
    }.items():
        with pytest.raises(DeviceError, match=said):
            inspect(path)
    assert [path.name for path in tmp_path.iterdir()] == ["sdcard.img"]


@pytest.mark.root
def test_a_node_of_no_device(tmp_path: Path) -> None:
    os.mknod(tmp_path / "gone", 0o60600, os.makedev(7, 0xFFFFF))
    with pytest.raises(DeviceError, match="no such device"):
        inspect(tmp_path / "gone")


@pytest.mark.root
def test_every_mount_point_whatever_its_name(tmp_path: Path) -> None:
    with partitioned(tmp_path / "card.img", TWO) as device:
        output("mkfs.ext4", "-q", f"{device}p2")
        points = (tmp_path / "one", tmp_path / "the \\other\tone")
        with mounted(Path(f"{device}p2"), *points):
            assert inspect(device).mounts == tuple(map(str, points))
        assert inspect(device).mounts == ()


@pytest.mark.root
def test_a_btrfs_is_on_all_of_its_devices(tmp_path: Path) -> None:
    """Its mount has the number of none of them, and names only one."""
    size = 128 * MIB
    with (
        attached(tmp_path / "a.img", size=size) as one,
        attached(tmp_path / "b.img", size=size) as other,
    ):
        output("mkfs.btrfs", "--quiet", one, other)
        output("btrfs", "device", "scan", one, other)
        with mounted(one, tmp_path / "pool"):
            for device in (one, other):
                assert inspect(device).mounts == (str(tmp_path / "pool"),)


@pytest.mark.root
def test_swap(tmp_path: Path) -> None:
    with partitioned(tmp_path / "card.img", "label: gpt\nsize=8MiB\n") as device:
        output("mkswap", f"{device}p1")
        output("swapon", f"{device}p1")
        try:
            disk = inspect(device)
        finally:
            output("swapoff", f"{device}p1")
        assert disk.swaps == (f"{device}p1",)
        assert disk.partitions[0].contents.filesystem == "swap"
        assert inspect(device).swaps == ()


@pytest.mark.root
def test_a_loop_device_over_a_partition_holds_its_disk(tmp_path: Path) -> None:
    with (
        partitioned(tmp_path / "card.img", TWO) as device,
        attached(Path(f"{device}p2")) as upper,
    ):
        (holder,) = inspect(device).holders
    release = f"losetup --detach {upper}"
    assert holder == Holder(device=str(upper), kind="loop", release=release)


class Sys:
    """A /sys of files, as the kernel makes it for devices that few test machines have."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.minor = 0

    def add(self, place: str, **attributes: str) -> block.Block:
        """A device at ``place`` below devices/; a double underscore is a slash."""
        directory = self.root / "devices" / place
        directory.mkdir(parents=True)
        self.minor += 1
        for name, text in {"dev": f"8:{self.minor}", **attributes}.items():
            path = directory / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{text}\n")
        return block.Block(directory)

    def hold(self, lower: block.Block, upper: block.Block) -> None:
        (lower.directory / "holders").mkdir(exist_ok=True)
        (lower.directory / "holders" / upper.name).symlink_to(upper.directory)


def test_a_card_in_a_usb_reader(tmp_path: Path) -> None:
    usb = tmp_path / "devices/pci0000:00/0000:00:14.0/usb2/2-3"
    usb.mkdir(parents=True)
    (usb / "idVendor").write_text("0781\n")
    (usb / "serial").write_text("4C530001\x1b\n")
    disk = Sys(tmp_path).add(
        "pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0/block/sdb",
        size="62333952",
        removable="1",
        device__vendor="SanDisk ",
        device__model="Ultra           ",
    )
    assert (disk.transport, disk.model, disk.serial) == ("usb", "SanDisk Ultra", r"4C530001\x1b")
    assert (disk.size, in_words(disk.size)) == (31914983424, "31.9 GB")


def test_a_card_in_an_mmc_slot(tmp_path: Path) -> None:
    disk = Sys(tmp_path).add(
        "platform/soc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0",
        device__name="SC32G",
        device__serial="0x1234abcd",
    )
    assert (disk.transport, disk.model, disk.serial) == ("mmc", "SC32G", "0x1234abcd")


def test_a_sata_disk(tmp_path: Path) -> None:
    disk = Sys(tmp_path).add(
        "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda",
        device__vendor="ATA",
        device__model="Samsung SSD 870",
    )
    (disk.directory / "device/vpd_pg80").write_bytes(b"\0\x80\0\x08S5Y1N0 \0")
    assert (disk.transport, disk.model, disk.serial) == ("sata", "Samsung SSD 870", "S5Y1N0")


def test_what_lvm_encryption_and_raid_have_made_of_a_disk(tmp_path: Path) -> None:
    sys = Sys(tmp_path)
    disk = sys.add("sdb")
    raid_part = sys.add("sdb/sdb1", partition="1")
    crypt_part = sys.add("sdb/sdb2", partition="2")
    raid = sys.add("md127", md__level="raid1")
    crypt = sys.add("dm-0", dm__name="luks-my card", dm__uuid="CRYPT-LUKS2-00-x")
    volume = sys.add("dm-1", dm__name="my--group-ro--ot", dm__uuid="LVM-abc")
    sys.hold(raid_part, raid)
    sys.hold(crypt_part, crypt)
    sys.hold(crypt, volume)
    assert holders.of(disk, tmp_path) == (
        Holder(device="/dev/md127", kind="md raid1", release="mdadm --stop /dev/md127"),
        Holder(
            device="/dev/mapper/my--group-ro--ot",
            kind="LVM",
            release="vgchange --activate n my-group",
        ),
        Holder(
            device="/dev/mapper/luks-my card",
            kind="encryption",
            release="cryptsetup close 'luks-my card'",
        ),
    )
