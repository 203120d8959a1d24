"""The rules of the boot partition: each is broken alone, and what is said is that and no more."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.firmware import rules
from rootfs_tool.firmware.models import MODELS
from tests.firmware.cards import CMDLINE, CONFIG, KERNEL, Files, device_tree, fat, overlay, pi3, pi4

PI3 = [MODELS["3b"], MODELS["3b+"]]
ON_PLUS = "on a Raspberry Pi 3 Model B+: "
IMAGE = "arm_64bit=1\nkernel=Image\nupstream_kernel=1\nenable_uart=1\n"


def said(directory: Path, files: Files) -> list[str]:
    return rules.check(Fat(fat(directory, {**pi3(), **files})), PI3)


def config(more: str) -> dict[str, str]:
    return {"config.txt": CONFIG + more}


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


STARTS = "a file of the firmware that it starts from"
WRONG: list[tuple[str, Files]] = [
    # the firmware's own files
    (f"there is no bootcode.bin, {STARTS}", {"bootcode.bin": None}),
    (f"there is no start.elf, {STARTS}", {"start.elf": None}),
    (f"there is no fixup.dat, {STARTS}", {"fixup.dat": None}),
    (f"there is no own.elf, {STARTS}", config("start_file=own.elf\n")),
    (
        f"there is no fixup_db.dat, {STARTS}",
        {**config("start_debug=1\n"), "start_db.elf": "x"},
    ),
    (
        (
            "config.txt:6: there is no kernel and device tree whose names begin with new/, so the "
            "firmware ignores os_prefix"
        ),
        {**config("os_prefix=new/\n"), "new/kernel8.img": KERNEL},
    ),
    # config.txt
    (
        f"config.txt:6: has {len('dtparam=') + 91} characters, and the firmware reads 98 of a line",
        config(f"dtparam={'x' * 91}\n"),
    ),
    ("config.txt:6: [pi6] is no filter that the firmware knows", config("[pi6]\nkernel=none\n")),
    (
        "config.txt:6: `kernel = none` is not NAME=VALUE, without spaces around the =",
        config("kernel = none\n"),
    ),
    ("config.txt:6: there is no more.txt to include", config("include more.txt\n")),
    (
        "more.txt:1: config.txt includes itself",
        {**config("include more.txt\n"), "more.txt": "include config.txt\n"},
    ),
    (
        "on a Raspberry Pi 3 Model B: config.txt:7: there is no kernel none",
        config("[board-type=0x08]\nkernel=none\n[all]\n"),
    ),
    # the kernel
    ("config.txt:2: there is no kernel kernel8.img", {"kernel8.img": None}),
    (
        (
            "config.txt:1: Image is a 64-bit kernel, which is started as one of 32 bits: "
            "arm_64bit=1 is not set"
        ),
        {"config.txt": IMAGE.replace("arm_64bit=1\n", ""), "Image": KERNEL},
    ),
    (
        "config.txt:2: kernel8.img is neither an arm64 Image nor a gzip file of one",
        {"kernel8.img": "#!/bin/sh"},
    ),
    # the initramfs
    ("config.txt:3: there is no initramfs initramfs.zst", {"initramfs.zst": None}),
    (
        (
            "config.txt:3: must be `initramfs FILE followkernel`, or an address in the place of "
            "followkernel, and without =; it is `initramfs=initramfs.zst`"
        ),
        {
            "config.txt": CONFIG.replace(
                "initramfs initramfs.zst followkernel", "initramfs=initramfs.zst"
            )
        },
    ),
    (
        (
            "config.txt:3: must be `initramfs FILE followkernel`, or an address in the place of "
            "followkernel, and without =; it is `initramfs initramfs.zst follow`"
        ),
        {"config.txt": CONFIG.replace("followkernel", "follow")},
    ),
    (
        "config.txt:3: the firmware reads 64 characters of a name here",
        {
            "config.txt": CONFIG.replace("initramfs.zst", "x" * 65),
            "x" * 65: "x",
        },
    ),
    (
        (
            "config.txt:3: the initramfs at 0x1000000 lies on the kernel, 0x200000 to 0x1200000; "
            "followkernel is safe"
        ),
        {"config.txt": CONFIG.replace("followkernel", "0x1000000")},
    ),
    (
        "config.txt:3: the initramfs at 0x3fffffff ends above the 1024 MiB of memory",
        {"config.txt": CONFIG.replace("followkernel", "0x3fffffff")},
    ),
    # the device tree
    (
        f"{ON_PLUS}there is no device tree bcm2837-rpi-3-b-plus.dtb",
        {"bcm2837-rpi-3-b-plus.dtb": None},
    ),
    (
        (
            f"{ON_PLUS}config.txt:6: bcm2837-rpi-3-b.dtb is for raspberrypi,3-model-b, "
            "brcm,bcm2837, and not for raspberrypi,3-model-b-plus"
        ),
        config("device_tree=bcm2837-rpi-3-b.dtb\n"),
    ),
    (
        f"{ON_PLUS}bcm2837-rpi-3-b-plus.dtb is not a device tree, or is damaged",
        {"bcm2837-rpi-3-b-plus.dtb": device_tree("raspberrypi,3-model-b-plus")[:200]},
    ),
    (
        "config.txt:6: the kernel gets no device tree, and can't do without",
        config("device_tree=\n"),
    ),
    (
        (
            f"{ON_PLUS}there is no device tree bcm2710-rpi-3-b-plus.dtb; with upstream_kernel=1 "
            "the firmware takes bcm2837-rpi-3-b-plus.dtb, which is"
        ),
        config("[pi3+]\nupstream_kernel=0\n"),
    ),
    # overlays
    ("config.txt:6: there is no overlay overlays/some.dtbo", config("dtoverlay=some\n")),
    (
        "config.txt:6: overlays/some.dtbo is not a device tree, or is damaged",
        {**config("dtoverlay=some\n"), "overlays/some.dtbo": "x"},
    ),
    (
        "config.txt:7: there is no overlay other/some.dtbo",
        {**config("overlay_prefix=other/\ndtoverlay=some\n"), "overlays/some.dtbo": overlay("i2s")},
    ),
    # the command line
    ("there is no cmdline.txt, the kernel's command line", {"cmdline.txt": None}),
    ("config.txt:6: there is no mine, the kernel's command line", config("cmdline=mine\n")),
    (
        "cmdline.txt has 2 lines, and the kernel's command line must be one line",
        {"cmdline.txt": CMDLINE + "quiet\n"},
    ),
    (
        "cmdline.txt is empty, and the kernel's command line must be one line",
        {"cmdline.txt": "\n"},
    ),
    (
        "cmdline.txt holds the byte 0xc3, which is not a printable character of ASCII",
        {"cmdline.txt": CMDLINE.replace("panic", "pänic")},
    ),
    (
        "cmdline.txt has no root=, and there is no initramfs: the kernel would find no /",
        {
            "config.txt": CONFIG.replace("initramfs initramfs.zst followkernel\n", ""),
            "cmdline.txt": "console=ttyS1",
        },
    ),
    ("cmdline.txt: root= names nothing", {"cmdline.txt": "root= console=ttyS1"}),
    (
        (
            "cmdline.txt: root=LABEL=rootfs needs an initramfs that understands it; the kernel "
            "itself knows PARTUUID= and /dev/mmcblk0p2"
        ),
        {
            "config.txt": CONFIG.replace("initramfs initramfs.zst followkernel\n", ""),
            "cmdline.txt": "root=LABEL=rootfs",
        },
    ),
    # the console
    (
        "cmdline.txt: console=ttyS1,115200b8 is not console=DEVICE or console=DEVICE,115200n8",
        {"cmdline.txt": CMDLINE.replace("115200", "115200b8")},
    ),
    (
        (
            "cmdline.txt: console=ttyS1,115200 is the mini UART, whose baud rate changes with the "
            "core clock: config.txt must set enable_uart=1"
        ),
        {"config.txt": CONFIG.replace("enable_uart=1\n", "")},
    ),
]


@pytest.mark.parametrize(("sentence", "files"), WRONG, ids=[sentence for sentence, _ in WRONG])
def test_what_is_wrong(tmp_path: Path, sentence: str, files: Files) -> None:
    assert said(tmp_path, files) == [sentence]


@pytest.mark.parametrize("device", ["ttyS0", "ttyAMA0"])
def test_a_console_that_the_device_tree_does_not_give(tmp_path: Path, device: str) -> None:
    assert said(tmp_path, {"cmdline.txt": CMDLINE.replace("ttyS1", device)}) == [
        f"on a {model.title}: cmdline.txt: console={device},115200: {model.device_tree} has no "
        "UART of that name, but ttyS1"
        for model in PI3
    ]


def test_an_overlay_for_another_device_tree(tmp_path: Path) -> None:
    files: Files = {**config("dtoverlay=some\n"), "overlays/some.dtbo": overlay("hvs")}
    assert said(tmp_path, files) == [
        f"on a {model.title}: config.txt:6: overlays/some.dtbo is not for {model.device_tree}, "
        "which has no hvs"
        for model in PI3
    ]


def test_a_pi_4_starts_from_its_eeprom_and_in_64_bits(tmp_path: Path) -> None:
    files = {**pi4(), "config.txt": IMAGE.replace("arm_64bit=1\n", ""), "Image": KERNEL}
    pi = [MODELS["4b"]]
    assert rules.check(Fat(fat(tmp_path, files)), pi) == []
    assert rules.check(Fat(fat(tmp_path, {**files, "start4.elf": None})), pi) == [
        f"there is no start4.elf, {STARTS}"
    ]
    assert rules.check(Fat(fat(tmp_path, {**files, "config.txt": "arm_64bit=0"})), pi) == [
        "there is no kernel kernel7l.img",
        (
            "cmdline.txt: console=ttyS1,115200 is the mini UART, whose baud rate changes with the "
            "core clock: config.txt must set enable_uart=1"
        ),
    ]


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
