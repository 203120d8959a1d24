"""What a Raspberry Pi's firmware loads from a boot partition, and from where.

As the documentation of config.txt has it: its boot options, os_prefix and upstream_kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from rootfs_tool.firmware import configtxt
from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.configtxt import Config, Said
from rootfs_tool.firmware.models import PiModel

KERNEL_64 = "kernel8.img"
_KERNELS_32 = ("kernel.img", "kernel7.img", "kernel7l.img", "kernel8-32.img")


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """The names of files in the boot partition, whether they are there or not.

    ``device_tree`` is empty if the kernel gets none. ``kernel_at`` and ``initramfs_at`` are
    addresses in memory; that of the initramfs is 0 if the firmware chooses it.
    """

    config: Config
    start: str
    fixup: str
    is_64bit: bool
    kernel: str
    kernel_at: int
    device_tree: str
    initramfs: tuple[str, ...]
    initramfs_at: int
    cmdline: str
    prefix: str
    overlays: tuple[Said, ...]


def find(files: BootFiles, model: PiModel) -> Startup:
    """What ``model`` would load."""
    config = configtxt.parse(files, model)
    start, fixup = _firmware(config, model)
    kernel_set = config.get("kernel").lower()
    known = True if kernel_set == KERNEL_64 else False if kernel_set in _KERNELS_32 else None
    default = model.eeprom if known is None else known
    is_64bit = bool(config.number("arm_64bit", default))
    kernel = config.get("kernel") or (KERNEL_64 if is_64bit else model.kernel_32)
    prefix = _prefix(files, config, model, kernel)
    address = config.get("ramfsaddr")
    images = _initramfs(files, config, kernel, prefix)
    return Startup(
        config=config,
        start=start,
        fixup=fixup,
        is_64bit=is_64bit,
        kernel=_below(prefix, kernel),
        kernel_at=config.number("kernel_address", 0x200000 if is_64bit else 0x8000),
        device_tree=_device_tree(files, config, model, prefix),
        initramfs=images,
        initramfs_at=0 if address == "followkernel" else config.number("ramfsaddr"),
        cmdline=_below(prefix, config.get("cmdline") or "cmdline.txt"),
        prefix=prefix,
        overlays=tuple(_overlays(files, config, prefix)),
    )


def _firmware(config: Config, model: PiModel) -> tuple[str, str]:
    """The names of start.elf and fixup.dat, which go in pairs."""
    four = model.generation
    kind = ""
    if config.number("gpu_mem", 64) <= 16:
        kind = "cd" if four else "_cd"
    if config.number("start_debug"):
        kind = "db" if four else "_db"
    if config.number("start_x"):
        kind = "x" if four else "_x"
    start = config.get("start_file") or f"start{four}{kind}.elf"
    return start, config.get("fixup_file") or f"fixup{four}{kind}.dat"


def _prefix(files: BootFiles, config: Config, model: PiModel, kernel: str) -> str:
    """os_prefix, if the kernel and a device tree are there with it, else nothing."""
    prefix = config.get("os_prefix")
    if not prefix and config.number("upstream_kernel"):
        prefix = "upstream/"
    if not prefix or _below(prefix, kernel) not in files:
        return ""
    return prefix if _device_tree(files, config, model, prefix) in files else ""


def _device_tree(files: BootFiles, config: Config, model: PiModel, prefix: str) -> str:
    if "device_tree" in config.settings:
        name = config.get("device_tree")
        return _below(prefix, name) if name else ""
    upstream = _below(prefix, model.device_tree)
    downstream = _below(prefix, model.downstream)
    if not config.number("upstream_kernel"):
        return downstream
    return upstream if upstream in files or downstream not in files else downstream


def _initramfs(files: BootFiles, config: Config, kernel: str, prefix: str) -> tuple[str, ...]:
    """Those that are named, or with auto_initramfs the one whose name goes with the kernel's."""
    named = config.get("ramfsfile")
    if named:
        return tuple(_below(prefix, one) for one in named.split(","))
    if config.number("auto_initramfs") and kernel.lower().startswith("kernel"):
        beside = _below(prefix, "initramfs" + kernel[len("kernel") :].rpartition(".")[0])
        return (beside,) if beside in files else ()
    return ()


def _overlays(files: BootFiles, config: Config, prefix: str) -> list[Said]:
    directory = config.get("overlay_prefix", "overlays/")
    own = _below(prefix, directory)
    if f"{own}README" in files:
        directory = own
    return [Said(f"{directory}{one.value}.dtbo", one.where) for one in config.overlays]


def _below(prefix: str, name: str) -> str:
    """A file that os_prefix goes before, unless its name begins with a slash."""
    return name.lstrip("/") if name.startswith("/") else prefix + name
