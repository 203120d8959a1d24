"""An SD card's image against genimage, and a card that runs in RAM against copying its files.

All begin with files on disk: 65 MB in 761 files for /, as many as a kernel has modules, and a Pi's
boot partition. genimage copies the tree, makes each file system as a file and puts these together.
Ours reads the directories, writes the image in place and makes its block map, with a digest of
every range, which nobody else does. Where / is in RAM, the peer puts the files of the boot
partition into one file (cat). Ours are calls in this process, as they are in a build, which has
long started when it comes to its images; the peers are processes.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from pathlib import Path

from benchmarks.side_by_side import compare, report
from rootfs_tool.images.base import Contents, Root
from rootfs_tool.images.sdcard import SdCard
from rootfs_tool.tree import File, Symlink, Tree

BOOT_MIB, ROOT_MIB = 64, 96
FILES, LINKS, BYTES = 761, 340, 65_000_000
FIRMWARE = {"bootcode.bin": 52_000, "start.elf": 3_000_000, "start4.elf": 2_300_000}
IN_RAM = {"Image": 38_000_000, "initramfs.cpio.zst": 16_000_000}
GENIMAGE_GOAL, CAT_GOAL = 0.33, 3

CONFIG = f"""\
image boot.vfat {{
    vfat {{ label = "BOOT" extraargs = "-F 32 -s 1" files = {{ NAMES }} }}
    size = {BOOT_MIB}M
}}
image root.ext4 {{
    ext4 {{ label = "rootfs" use-mke2fs = true }}
    size = {ROOT_MIB}M
}}
image sdcard.img {{
    hdimage {{ }}
    partition boot {{ partition-type = 0xC bootable = true image = "boot.vfat" offset = 4M }}
    partition rootfs {{ partition-type = 0x83 image = "root.ext4" }}
}}
"""


def make_boot(directory: Path) -> None:
    """A Pi's firmware, its device trees and its overlays."""
    sizes = {**FIRMWARE, **{f"bcm2710-rpi-{n}.dtb": 32_000 for n in range(6)}}
    sizes |= {f"overlays/overlay-{n}.dtbo": 1500 for n in range(250)}
    (directory / "overlays").mkdir(parents=True)
    for name, size in sizes.items():
        (directory / name).write_bytes(random.Random(name).randbytes(size))


def make_root(directory: Path) -> None:
    """Files of very different sizes in a hundred directories, and links as BusyBox has them."""
    dice = random.Random(3)
    sizes = [dice.lognormvariate(0, 1) for _ in range(FILES)]
    for number, size in enumerate(sizes):
        path = (
            directory
            / f"lib/modules/kernel/kind{number % 20}/family{number % 100}"
            / f"{number}.ko"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(int(size / sum(sizes) * BYTES)))
    (directory / "bin").mkdir()
    for number in range(LINKS):
        (directory / f"bin/applet{number}").symlink_to("busybox")


def tree_of(directory: Path) -> Tree:
    tree = Tree()
    for parent, names, files in os.walk(directory):
        below = "/" + os.path.relpath(parent, directory)
        for name in sorted((*names, *files)):
            host = Path(parent, name)
            if host.is_symlink():
                tree.add(f"{below}/{name}", Symlink(str(host.readlink())), origin="the benchmark")
            elif name in files:
                tree.add(f"{below}/{name}", File(content=host), origin="the benchmark")
    return tree


def write_card(directory: Path) -> None:
    """A card with / on it, from the files in ``directory``."""
    root, boot = tree_of(directory / "root"), tree_of(directory / "boot")
    contents = Contents(rootfs=root, initramfs=Tree(), boot=boot, root=Root.CARD)
    image = SdCard(boot_size=BOOT_MIB, root_size=ROOT_MIB)
    image.write(contents, directory / "sdcard.img", epoch=0)


def write_card_in_ram(directory: Path, boot: Tree) -> None:
    contents = Contents(rootfs=Tree(), initramfs=Tree(), boot=boot, root=Root.RAM)
    SdCard().write(contents, directory / "ram.img", epoch=0)


def genimage(directory: Path) -> None:
    """As a first build: genimage wants an empty directory for what it makes on the way."""
    options = {
        "--config": directory / "genimage.cfg",
        "--rootpath": directory / "root",
        "--inputpath": directory / "boot",
        "--tmppath": tempfile.mkdtemp(dir=directory),
        "--outputpath": directory / "genimage",
    }
    argv = ["genimage", *(f"{option}={value}" for option, value in options.items())]
    subprocess.run(argv, check=True, capture_output=True)


def cat(directory: Path) -> None:
    script = 'cd "$1/boot" && cat *.* Image overlays/* >../cat'
    subprocess.run(["sh", "-c", script, "sh", str(directory)], check=True)


with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary:
    here = Path(temporary)
    make_boot(here / "boot")
    make_root(here / "root")
    names = ", ".join(f'"{path.name}"' for path in sorted((here / "boot").iterdir()))
    (here / "genimage.cfg").write_text(CONFIG.replace("NAMES", names))
    found = compare(lambda: write_card(here), lambda: genimage(here), rounds=9)
    report("card with /", "genimage", found, goal=GENIMAGE_GOAL)
    for name, size in IN_RAM.items():
        (here / "boot" / name).write_bytes(random.Random(name).randbytes(size))
    boot = tree_of(here / "boot")
    found = compare(lambda: write_card_in_ram(here, boot), lambda: cat(here), rounds=15)
    report("card with / in RAM", "cat", found, goal=CAT_GOAL)
