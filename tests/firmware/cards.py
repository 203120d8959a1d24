"""Cards for a Raspberry Pi, made with the host's own tools, with next to nothing in the files."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

MIB = 1 << 20
START = 4 * MIB  # of the boot partition
SIZES = {12: 4, 16: 20, 32: 40}  # MiB that mkfs.vfat can make of each kind of FAT

KERNEL = struct.pack("<16xQ32x4s4x", 16 * MIB, b"ARM\x64")  # an arm64 Image that needs 16 MiB

CONFIG = """\
arm_64bit=1
kernel=kernel8.img
initramfs initramfs.zst followkernel
upstream_kernel=1
enable_uart=1
"""
CMDLINE = "panic=10 root=/dev/mmcblk0p2 console=ttyS1,115200\n"

Files = Mapping[str, str | bytes | None]  # None takes a file away


@cache
def compiled(source: str) -> bytes:
    """A device tree or overlay by dtc, with its labels."""
    return subprocess.run(
        ["dtc", "-q", "-@", "-I", "dts", "-O", "dtb"],
        input=source.encode(),
        capture_output=True,
        check=True,
    ).stdout


def device_tree(compatible: str, *, slot: str = "soc/mmc@7e202000") -> bytes:
    """A device tree with what is looked at: the UARTs as mainline has them, a label, the slot."""
    outer, _, inner = slot.partition("/")
    return compiled(
        f"""
        /dts-v1/;
        / {{
            compatible = "{compatible}", "brcm,bcm2837";
            aliases {{ serial0 = &uart0; serial1 = &uart1; }};
            {outer} {{ {inner} {{ }}; }};
            bus {{
                uart0: serial@7e201000 {{ compatible = "arm,pl011"; bluetooth {{ }}; }};
                uart1: serial@7e215040 {{ compatible = "brcm,bcm2835-aux-uart"; }};
                i2s: i2s@7e203000 {{ }};
            }};
        }};
        """
    )


def overlay(label: str, *, state: str = "__overlay__") -> bytes:
    return compiled(
        f"""
        /dts-v1/;
        /plugin/;
        / {{ fragment@0 {{ target = <&{label}>; {state} {{ status = "okay"; }}; }}; }};
        """
    )


def pi3() -> dict[str, str | bytes | None]:
    """All that a Raspberry Pi 3 needs, B and B+."""
    return {
        "bootcode.bin": "x",
        "start.elf": "x",
        "fixup.dat": "x",
        "kernel8.img": KERNEL,
        "initramfs.zst": bytes(1000),
        "bcm2837-rpi-3-b.dtb": device_tree("raspberrypi,3-model-b"),
        "bcm2837-rpi-3-b-plus.dtb": device_tree("raspberrypi,3-model-b-plus"),
        "config.txt": CONFIG,
        "cmdline.txt": CMDLINE,
    }


def pi4() -> dict[str, str | bytes | None]:
    """All that a Raspberry Pi 4 needs."""
    tree = device_tree("raspberrypi,4-model-b", slot="emmc2bus/mmc@7e340000")
    gone = ("bootcode.bin", "start.elf", "bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb")
    new: Files = {"start4.elf": "x", "fixup4.dat": "x", "bcm2711-rpi-4-b.dtb": tree}
    return {**pi3(), **dict.fromkeys((*gone, "fixup.dat")), **new}


def fat(directory: Path, files: Files, *, bits: int = 32, start: int = 0) -> Path:
    """An image with a FAT that begins ``start`` bytes into it, and these files in the FAT."""
    image, tree = directory / "card.img", directory / "files"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    for name, content in files.items():
        if content is not None:
            path = tree / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(start + SIZES[bits] * MIB)
    options = ["-F", str(bits), f"--offset={start // 512}", *(("-s", "1") if bits == 32 else ())]
    size = str(SIZES[bits] * 1024)
    subprocess.run(["mkfs.vfat", *options, image, size], check=True, capture_output=True)
    subprocess.run(
        ["mcopy", "-s", "-i", f"{image}@@{start}", *sorted(tree.iterdir()), "::"],
        check=True,
        env={**os.environ, "MTOOLS_SKIP_CHECK": "1"},
    )
    return image


def card(
    directory: Path, files: Files, *, table: str = "", bits: int = 32, start: int = START
) -> Path:
    """An image of a card: ``table`` is what sfdisk is to make, by default an MBR."""
    image = fat(directory, files, bits=bits, start=start)
    with image.open("r+b") as file:
        file.truncate(start + (SIZES[bits] + 8) * MIB)
    boot = f"start={start // 512}, size={SIZES[bits]}MiB"
    table = table or "label: dos\nlabel-id: 0x12345678\n{boot}, type=c\ntype=83\n"
    subprocess.run(
        ["sfdisk", "--quiet", "--no-tell-kernel", image],
        input=table.format(boot=boot).encode(),
        check=True,
    )
    return image
