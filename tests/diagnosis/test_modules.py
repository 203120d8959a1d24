"""What a command asks the kernel for, and the module that is told of, if any is sure to be it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rootfs_tool.diagnosis import asking
from rootfs_tool.diagnosis.base import Diagnosis, Evidence
from rootfs_tool.diagnosis.board import Device
from rootfs_tool.diagnosis.chains import diagnose
from rootfs_tool.diagnosis.subject import Subject
from tests.diagnosis.fault import TWO
from tests.diagnosis.test_recorded import only, silent

NO_INTERFACE = "SIOCGIFFLAGS: No such device\n"
NO_TYPE = "mount: mounting /dev/sdb1 on /mnt failed: No such device\n"
NO_LINK = "ip: RTNETLINK answers: Operation not supported\n"

RNG = Device(name="virtio3", alias="virtio:d00000004v0000554D4551")
RNG_OF_PCI = Device(name="0000:00:04.0", alias="pci:v00001AF4d00001005sv00001AF4sd00000004bc00scFF")
DISK = Device(name="0000:00:05.0", alias="pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00")
SERIAL = Device(name="1-1:1.0", alias="usb:v0403p6001d0600dc00dsc00dp00icFFiscFFipFFin00")
RADIO = Device(name="mmc1:0001:1", alias="sdio:c00v02D0dA9A6")
CARD = Device(name="0000:00:06.0", alias="pci:v00001234d00005678sv00000000sd00000000bc02sc00i00")
ALIASES = (
    ("virtio:d00000004v*", "virtio_rng"),
    ("pci:v00001AF4d*sv*sd*bc*sc*i*", "virtio_pci"),
    ("usb:v0403p6001d*dc*dsc*dp*ic*isc*ip*in*", "ftdi_sio"),
    ("pci:v00001234d00005678sv*sd*bc*sc*i*", "some_card"),
)


def failed(command: str, said: str, *undriven: Device) -> Evidence:
    evidence = replace(silent("mode", said), subject=Subject(command=command))
    return replace(evidence, board=replace(evidence.board, undriven=undriven, aliases=ALIASES))


@pytest.mark.parametrize(
    "command",
    [
        "ip link set dev eth9 up",
        "ip link set eth9 up",
        "ip link set up dev eth9",
        "ip link set up eth9",
        "ip route add 192.0.2.0/24 dev eth9",
        "ifconfig eth9 up",
        "udhcpc -i eth9",
        "ifconfig eth9 up && ping -c 1 192.0.2.1",
    ],
)
def test_an_interface_is_named_as_the_command_names_it(command: str) -> None:
    one = only(failed(command, f"ip: {NO_INTERFACE}"))
    assert one.rule == "no-driver"
    assert one.cause.startswith("the board has no eth9: no driver has made it, and no device waits")
    assert one.mend.startswith("is eth9 its name? The board has lo, eth0")


@pytest.mark.parametrize("device", [RNG, RNG_OF_PCI, DISK, SERIAL, RADIO])
def test_what_is_no_card_has_no_interface(device: Device) -> None:
    """Neither one that is not in the profile, nor one that is."""
    evidence = failed("ifconfig eth1 up", f"ifconfig: {NO_INTERFACE}", device)
    for one in (only(evidence), only(replace(evidence, network=TWO))):
        assert "no device waits for one that is known here" in one.cause
        assert "modules" not in one.mend


def test_a_card_that_waits_is_not_sure_to_be_the_one_that_was_named() -> None:
    evidence = failed("ifconfig eth1 up", f"ifconfig: {NO_INTERFACE}", RNG, CARD)
    recipe = 'modules = ["some_card"] in the recipe, and build again'
    one = only(evidence)
    assert one.cause.endswith("a card waits for some_card, which is not loaded")
    assert one.mend == f"is eth1 its name? The board has lo, eth0, dummy0; if it is: {recipe}"
    one = only(replace(evidence, network=TWO))  # its profile has an eth1
    assert one.cause.endswith("the kernel has not loaded some_card, which drives its card")
    assert one.mend == recipe
    assert any(CARD.alias in line for line in one.evidence)


def test_a_radio_is_no_cable() -> None:
    one = only(failed("ifconfig wlan0 up", f"ifconfig: {NO_INTERFACE}", CARD, RADIO))
    assert one.cause.endswith("a card waits for brcmfmac, which is not loaded")


def test_who_says_no_such_device_of_a_disk_has_not_asked_for_an_interface() -> None:
    found = rules(failed("mount /dev/sdb1 /mnt && ifconfig eth1 up", NO_TYPE))
    assert found == []


def rules(evidence: Evidence) -> list[Diagnosis]:
    return [one for one in diagnose(evidence) if one.rule in ("no-module", "no-driver")]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("mount /dev/sdb1 /mnt/my-tree", NO_TYPE),
        ("mount -t ext4 /dev/sda1 /mnt", NO_TYPE.replace("device", "device or address")),
        ("mount -t ubifs ubi0:data /data", NO_TYPE),  # there is no such volume
        ("mount -t jffs2 mtd7 /data", NO_TYPE),
        ("mount -t debugfs none /sys/kernel/debug", NO_TYPE),
        ("mount -t vfat /dev/sda1 /mnt || mount -t udf /dev/sda1 /mnt", NO_TYPE),  # one of them
        ("mount -t vfat /dev/sda1 /mnt; cat /dev/video0", "cat: read error: No such device\n"),
        ("ip link add tun0 type tun", NO_LINK),
        ("ip link add dummy0 type dummy; setsid", "setsid: Operation not supported\n"),
    ],
)
def test_no_module_is_told_that_would_not_help(command: str, said: str) -> None:
    assert rules(failed(command, said)) == []


@pytest.mark.parametrize(
    ("command", "said", "module"),
    [
        ("mount -t vfat /dev/sdb1 /mnt/my-tree", NO_TYPE, "vfat"),
        ("mount -o ro -tiso9660 /dev/sdb1 /mnt", NO_TYPE, "isofs"),
        ("mount -t proc proc /p && mount -t ext3 /dev/sdb1 /mnt", NO_TYPE, "ext4"),
        ("ip link add bond0 type bond mode 1", NO_LINK, "bonding"),
        ("ip link add g type gretap remote 192.0.2.1", NO_LINK, "ip_gre"),
        ("ip link add t type ip6tnl", "Error: Unknown device type.\n", "ip6_tunnel"),
    ],
)
def test_the_module_has_its_own_name(command: str, said: str, module: str) -> None:
    (one,) = rules(failed(command, said))
    assert one.cause.startswith(f"the kernel on the board does not have {module}: ")
    assert f'modules = ["{module}"]' in one.mend


@pytest.mark.parametrize(
    "said",
    [
        "modprobe: module can_dev not found in modules.dep\n",
        "modprobe: FATAL: Module can_dev not found in directory /lib/modules/6.1.0-arm64\n",
    ],
)
def test_modprobe_of_busybox_and_of_kmod(said: str) -> None:
    (one,) = rules(failed("modprobe can_dev", said))
    assert one.mend == 'modules = ["can_dev"] in the recipe, and build again'


@pytest.mark.parametrize("name", ["foo", "foo.out"])
def test_a_name_that_is_not_found_is_looked_for_on_the_path_alone(name: str) -> None:
    """A script or a dynamic program elsewhere would be blamed for its interpreter."""
    paths = asking._paths(f"sh: {name}: not found\n", Subject(command=f"{name} -v"))
    assert list(paths) == [f"/usr/bin/{name}"]


def test_a_file_that_was_asked_for_by_its_place_is_looked_at_there() -> None:
    paths = list(asking._paths("sh: ./foo.out: not found\n", Subject(command="./foo.out")))
    assert "/tmp/foo.out" in paths
    assert "/usr/bin/foo.out" not in paths
