"""U-Boot between a Raspberry Pi's firmware and the kernel, which it finds by extlinux.conf."""

from __future__ import annotations

from collections.abc import Iterator

from rootfs_tool import initscripts
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import FetchError
from rootfs_tool.firmware.base import Payload
from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.startup import KERNEL_64
from rootfs_tool.tree import File, Tree

PACKAGE = "u-boot-rpi"
PROGRAM = "/usr/lib/u-boot/rpi_arm64/u-boot.bin"  # the one for every 64-bit model
NAME = "u-boot.bin"
# U-Boot's doc/develop/bootstd/extlinux.rst: where it looks, first.
EXTLINUX = "extlinux/extlinux.conf"
_FILES = ("kernel", "linux", "initrd", "fdt")


def fill(boot: Tree, artefact: Artefact, payload: Payload) -> None:
    """Add U-Boot, and what tells it which kernel to start. Raises FetchError.

    It names no device tree: U-Boot passes on the one that the firmware has chosen for the model.
    Its own address for one lies inside of where a kernel of more than 37 MiB is loaded.
    """
    assert artefact.files is not None  # it is a package
    if PROGRAM not in artefact.files.rows:
        raise FetchError(f"package {artefact.name} holds no {PROGRAM}")
    program = artefact.files.checked(PROGRAM)
    boot.add(f"/{NAME}", File(content=program), origin=f"package {artefact.name}")
    text = initscripts.render(
        "boot/extlinux.conf.j2",
        kernel=KERNEL_64,
        initramfs=None if payload.initramfs is None else payload.initramfs.name,
        cmdline=payload.cmdline,
    )
    origin = "the template extlinux.conf.j2"
    boot.add(f"/{EXTLINUX}", File(content=text.encode()), origin=origin)


def check(files: BootFiles) -> Iterator[str]:
    """What U-Boot would not find, a sentence each."""
    if EXTLINUX not in files:
        yield f"there is no {EXTLINUX}, which tells U-Boot what to start"
        return
    for line in files.text(EXTLINUX).splitlines():
        key, _, name = line.strip().partition(" ")
        if key.lower() in _FILES and name.strip().lstrip("/") not in files:
            yield f"{EXTLINUX}: there is no {name.strip()}"
