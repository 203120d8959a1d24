"""The rules of a Raspberry Pi's boot partition: what its firmware and its kernel would trip over.

Sources: the documentation of the boot folder, of config.txt and of device trees at
raspberrypi.com; Documentation/arch/arm64/booting.rst, admin-guide/serial-console.rst and
admin-guide/kernel-parameters.txt of Linux.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Filesystem
from rootfs_tool.firmware import devicetree, startup, uboot
from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.devicetree import DeviceTree
from rootfs_tool.firmware.models import PiModel
from rootfs_tool.firmware.startup import Startup

MIB = 1 << 20
IMAGE = b"ARM\x64"  # at byte 56 of a kernel
GZIP = b"\x1f\x8b"
# The names that the firmware gives to labels of the device tree by itself.
_LABELS = {"i2c", "i2c_arm", "i2c_vc", "i2c0", "i2c1"}
_CONSOLE = re.compile(r"[A-Za-z]+\d*(?:,\d+(?:[noe](?:[5-8]r?)?)?)?")


def check(boot: Filesystem, models: Sequence[PiModel]) -> list[str]:
    """What is wrong for any of ``models``, a sentence each; it names those that it is not of all.

    Raises ConfigError if the file system is damaged.
    """
    files = BootFiles(boot)
    found: dict[str, list[PiModel]] = {}
    for model in models:
        for sentence in dict.fromkeys(_of_model(files, model)):
            found.setdefault(sentence, []).append(model)
    return [
        sentence
        if len(of) == len(models)
        else f"on a {' and a '.join(one.title for one in of)}: {sentence}"
        for sentence, of in found.items()
    ]


def _of_model(files: BootFiles, model: PiModel) -> Iterator[str]:
    found = startup.find(files, model)
    yield from found.config.mistakes
    yield from _firmware(files, model, found)
    yield from _kernel(files, found)
    yield from _initramfs(files, model, found)
    tree, wrong = _device_tree(files, model, found)
    yield from wrong
    yield from _overlays(files, found, tree)
    yield from _cmdline(files, found, tree)


def _firmware(files: BootFiles, model: PiModel, found: Startup) -> Iterator[str]:
    needed = [found.start, found.fixup]
    if not model.eeprom:
        needed.insert(0, "bootcode.bin")
    for name in needed:
        if name not in files:
            yield f"there is no {name}, a file of the firmware that it starts from"
    prefix = found.config.get("os_prefix")
    if prefix and not found.prefix:
        yield (
            f"{found.config.where('os_prefix')}there is no kernel and device tree whose names "
            f"begin with {prefix}, so the firmware ignores os_prefix"
        )


def _kernel(files: BootFiles, found: Startup) -> Iterator[str]:
    where = found.config.where("kernel")
    if found.kernel not in files:
        yield f"{where}there is no kernel {found.kernel}"
        return
    if found.kernel == uboot.NAME:
        yield from uboot.check(files)
        return
    head = files.read(found.kernel, 64)
    is_image = head[56:60] == IMAGE
    if is_image and not found.is_64bit:
        yield (
            f"{where}{found.kernel} is a 64-bit kernel, which is started as one of 32 bits: "
            "arm_64bit=1 is not set"
        )
    if found.is_64bit and not is_image and head[:2] != GZIP:
        yield f"{where}{found.kernel} is neither an arm64 Image nor a gzip file of one"


def _initramfs(files: BootFiles, model: PiModel, found: Startup) -> Iterator[str]:
    where = found.config.where("ramfsfile")
    for name in found.initramfs:
        if name not in files:
            yield f"{where}there is no initramfs {name}"
    start = found.initramfs_at
    if not found.initramfs or not start:
        return
    end = start + sum(files.size(name) for name in found.initramfs if name in files)
    if found.kernel in files and found.is_64bit:
        head = files.read(found.kernel, 64)
        size = files.size(found.kernel)
        if head[56:60] == IMAGE:  # which says how much it needs once it runs
            size = max(size, *struct.unpack("<Q", head[16:24]))
        if start < found.kernel_at + size and found.kernel_at < end:
            yield (
                f"{where}the initramfs at {start:#x} lies on the kernel, "
                f"{found.kernel_at:#x} to {found.kernel_at + size:#x}; followkernel is safe"
            )
    if end > model.memory * MIB:
        yield f"{where}the initramfs at {start:#x} ends above the {model.memory} MiB of memory"


def _device_tree(
    files: BootFiles, model: PiModel, found: Startup
) -> tuple[DeviceTree | None, list[str]]:
    name, where = found.device_tree, found.config.where("device_tree")
    if not name:
        return None, [f"{where}the kernel gets no device tree, and can't do without"]
    if name not in files:
        hint = ""
        if name.endswith(model.downstream) and found.prefix + model.device_tree in files:
            hint = f"; with upstream_kernel=1 the firmware takes {model.device_tree}, which is"
        return None, [f"{where}there is no device tree {name}{hint}"]
    try:
        tree = devicetree.read(files.read(name))
    except ConfigError as error:
        return None, [f"{where}{name} {error}"]
    compatible = tree.strings("/", "compatible")
    if model.compatible not in compatible:
        given = ", ".join(compatible) or "nothing"
        return tree, [f"{where}{name} is for {given}, and not for {model.compatible}"]
    return tree, []


def _overlays(files: BootFiles, found: Startup, tree: DeviceTree | None) -> Iterator[str]:
    labels = tree.nodes.get("/__symbols__", {}).keys() | _LABELS if tree else set()
    for overlay in found.overlays:
        name = overlay.value
        if name not in files:
            if not _is_mapped(files, name):
                yield f"{overlay.where}: there is no overlay {name}"
            continue
        try:
            blob = devicetree.read(files.read(name))
        except ConfigError as error:
            yield f"{overlay.where}: {name} {error}"
            continue
        missing = sorted(blob.nodes.get("/__fixups__", {}).keys() - labels)
        # What is dormant may be for another model: the firmware leaves it out unless it is asked.
        dormant = any(path.endswith("/__dormant__") for path in blob.nodes)
        if tree and missing and not dormant:
            yield (
                f"{overlay.where}: {name} is not for {found.device_tree}, "
                f"which has no {', '.join(missing)}"
            )


def _is_mapped(files: BootFiles, name: str) -> bool:
    """Whether another overlay stands for this one, as overlay_map.dtb may say."""
    directory, _, file = name.rpartition("/")
    table = f"{directory}/overlay_map.dtb"
    try:
        known = devicetree.read(files.read(table)).children("/") if table in files else []
    except ConfigError:
        return False
    return file.removesuffix(".dtbo") in known


def _cmdline(files: BootFiles, found: Startup, tree: DeviceTree | None) -> Iterator[str]:
    name = found.cmdline
    if name not in files:
        yield f"{found.config.where('cmdline')}there is no {name}, the kernel's command line"
        return
    text = files.read(name)
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].strip():
        said = f"has {len(lines)} lines" if lines and text.strip() else "is empty"
        yield f"{name} {said}, and the kernel's command line must be one line"
    odd = [byte for byte in b"".join(lines) if not 0x20 <= byte < 0x7F]
    if odd:
        yield f"{name} holds the byte {odd[0]:#04x}, which is not a printable character of ASCII"
    words = (lines[0] if lines else b"").decode("ascii", "replace").split()
    yield from _root(name, words, found)
    yield from _consoles(name, words, found, tree)


def _root(name: str, words: list[str], found: Startup) -> Iterator[str]:
    roots = [word.removeprefix("root=") for word in words if word.startswith("root=")]
    if not roots and not found.initramfs and found.kernel != uboot.NAME:
        yield f"{name} has no root=, and there is no initramfs: the kernel would find no /"
    for root in roots[-1:]:  # the last one counts
        if not root:
            yield f"{name}: root= names nothing"
        if (
            root.startswith(("UUID=", "LABEL="))
            and not found.initramfs
            and found.kernel != uboot.NAME
        ):
            yield (
                f"{name}: root={root} needs an initramfs that understands it; "
                "the kernel itself knows PARTUUID= and /dev/mmcblk0p2"
            )


def _consoles(
    name: str, words: list[str], found: Startup, tree: DeviceTree | None
) -> Iterator[str]:
    # An overlay may give the UARTs other names, such as Raspberry Pi OS's disable-bt.
    known = _uarts(tree) if tree and not found.overlays else []
    for word in words:
        if not word.startswith("console="):
            continue
        console = word.removeprefix("console=")
        device = console.partition(",")[0]
        if not _CONSOLE.fullmatch(console):
            yield f"{name}: {word} is not console=DEVICE or console=DEVICE,115200n8"
        elif "ttyS1" in known and re.match(r"tty(S|AMA)\d", device) and device not in known:
            yield (
                f"{name}: {word}: {found.device_tree} has no UART of that name, "
                f"but {' and '.join(known)}"
            )
        elif re.fullmatch(r"ttyS\d", device) and not found.config.number("enable_uart"):
            yield (
                f"{name}: {word} is the mini UART, whose baud rate changes with the core clock: "
                "config.txt must set enable_uart=1"
            )


def _uarts(tree: DeviceTree) -> list[str]:
    """The names in /dev of the UARTs that have one: they are numbered by their alias."""
    found = []
    for alias in tree.nodes.get("/aliases", {}):
        number = alias.removeprefix("serial")
        if number == alias or not number.isdecimal():
            continue
        (path, *_) = tree.strings("/aliases", alias) or [""]
        compatible = tree.strings(path, "compatible")
        bluetooth = f"{path}/bluetooth"
        if "brcm,bcm2835-aux-uart" in compatible:
            found.append(f"ttyS{number}")
        elif "arm,pl011" in compatible and (
            bluetooth not in tree.nodes or tree.strings(bluetooth, "status") == ["disabled"]
        ):
            found.append(f"ttyAMA{number}")
    return found
