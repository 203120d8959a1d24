"""The rules of the boot partition: each is broken alone, and what is said is that and no more."""

from __future__ import annotations

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
