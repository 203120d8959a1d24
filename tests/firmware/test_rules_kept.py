"""Boot partitions that a Raspberry Pi starts from, of which nothing is said."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.firmware import rules
from rootfs_tool.firmware.models import MODELS
from tests.firmware.cards import CMDLINE, CONFIG, KERNEL, Files, device_tree, fat, overlay, pi3
from tests.firmware.test_rules import config, said

RIGHT: dict[str, Files] = {
    "as it is": {},
    "a gzip file of a kernel": {"kernel8.img": gzip.compress(KERNEL)},
    "names in capitals": {"kernel8.img": None, "KERNEL8.IMG": KERNEL},
    "a kernel's name tells that it has 64 bits": {
        "config.txt": CONFIG.replace("arm_64bit=1\n", "")
    },
    "an initramfs at an address": {
        "config.txt": CONFIG.replace("followkernel", "0x8000000"),
    },
    "an initramfs without an address": {"config.txt": CONFIG.replace(" followkernel", "")},
    "several of them": {
        "config.txt": CONFIG.replace("initramfs.zst", "initramfs.zst,more.zst"),
        "more.zst": "x",
    },
    "each model its device tree by a section": config(
        "[pi3]\ndevice_tree=bcm2837-rpi-3-b.dtb\n[pi3+]\ndevice_tree=bcm2837-rpi-3-b-plus.dtb\n"
    ),
    "sections of other models": config(
        "[pi4]\nkernel=none\n[board-type=0x11]\nkernel=none\n[none]\nkernel=none\n[all]\n"
    ),
    "circumstances": config("[0x12345678]\nkernel=none\n[gpio4=1]\n[EDID=A-B]\n[tryboot]\n[all]\n"),
    "32-bit models": config("[PI2]\n[pi0w]\n[cm4s]\n[pi5]\n[all]\n"),
    "a file that is included": {
        **config("kernel=none\ninclude more.txt\n"),
        "more.txt": "kernel=kernel8.img\n",
    },
    "include where it does not count": config("[pi4]\ninclude none.txt\n"),
    "an overlay": {
        **config("dtoverlay=some,parameter=1\ndtoverlay=\ndtparam=audio=on\n"),
        "overlays/some.dtbo": overlay("i2s"),
    },
    "an overlay with something dormant": {
        **config("dtoverlay=some\n"),
        "overlays/some.dtbo": overlay("i2c6", state="__dormant__"),
    },
    "an overlay of another name": {
        **config("dtoverlay=old\n"),
        "overlays/overlay_map.dtb": device_tree("none").replace(b"bus\0", b"old\0"),
    },
    "everything below a prefix": {
        **{f"new/{name}": content for name, content in pi3().items() if name != "config.txt"},
        **config("os_prefix=new/\n"),
        "cmdline.txt": "",
    },
    "the small firmware": {
        **config("gpu_mem=16\n"),
        "start_cd.elf": "x",
        "fixup_cd.dat": "x",
        "start.elf": None,
        "fixup.dat": None,
    },
    "the firmware for a camera": {
        **config("start_x=1\n"),
        "start_x.elf": "x",
        "fixup_x.dat": "x",
        "start.elf": None,
        "fixup.dat": None,
    },
    "a root that an initramfs finds": {
        "cmdline.txt": CMDLINE.replace("/dev/mmcblk0p2", "LABEL=rootfs")
    },
    "consoles of all kinds": {
        "cmdline.txt": "root=/dev/sda1 console=tty1 console=ttyS1 console=ttyS1,115200n8 "
        "console=serial0,115200 console=ttyUSB0,9600"
    },
}


@pytest.mark.parametrize("files", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right(tmp_path: Path, files: Files) -> None:
    assert said(tmp_path, files) == []


def test_raspberry_pi_os(tmp_path: Path) -> None:
    """Its own kernels and device trees, several models, and 32 and 64 bits on one card."""
    tree = device_tree("raspberrypi,3-model-b")
    files: Files = {
        **dict.fromkeys(("bootcode.bin", "start.elf", "fixup.dat", "kernel7.img"), "x"),
        **dict.fromkeys(("start4.elf", "fixup4.dat", "initramfs8", "initramfs7"), "x"),
        "kernel8.img": gzip.compress(KERNEL),
        "bcm2710-rpi-3-b.dtb": tree,
        "bcm2711-rpi-4-b.dtb": device_tree("raspberrypi,4-model-b"),
        "overlays/vc4-kms-v3d.dtbo": overlay("i2s"),
        "config.txt": "dtparam=audio=on\ncamera_auto_detect=1\nauto_initramfs=1\n"
        "dtoverlay=vc4-kms-v3d\narm_64bit=1\n[cm4]\notg_mode=1\n[all]\n",
        "cmdline.txt": "console=serial0,115200 console=tty1 root=PARTUUID=12345678-02 rootwait\n",
    }
    models = [MODELS["3b"], MODELS["4b"]]
    assert rules.check(Fat(fat(tmp_path, files)), models) == []
    no_initramfs = {**files, "initramfs8": None, "cmdline.txt": "quiet"}
    assert rules.check(Fat(fat(tmp_path, no_initramfs)), models) == [
        "cmdline.txt has no root=, and there is no initramfs: the kernel would find no /"
    ]
