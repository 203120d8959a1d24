"""The rules of the card that a Raspberry Pi starts from: its partition table and its FAT.

Sources: the boot ROM's requirements as Raspberry Pi's engineers told them (the ROM of the Pi 3
reads an MBR alone and takes neither hidden partitions nor type 0xef, the EEPROM of the Pi 4 reads
a GPT and takes 0xef); Microsoft's FAT specification of 2005 for the kinds of FAT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rootfs_tool import compressed
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Filesystem
from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.filesystem.partitions import Partition, partitions
from rootfs_tool.firmware import rules, startup
from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.models import MODELS, PiModel

ALIGNMENT = 1 << 20  # bytes; what every tool that makes partitions has taken for many years
# The types of a partition in an MBR, and the kind of FAT that each says is in it.
MBR = {"0x04": 16, "0x06": 16, "0x0b": 32, "0x0c": 32, "0x0e": 16}
MBR_EFI = "0xef"
GPT = {
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",  # basic data
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",  # EFI system
}


def boot(image: Path) -> Fat:
    """The boot partition of a card, or the file system that fills it all.

    Raises ConfigError if there is none.
    """
    if table := partitions(image):
        return Fat(image, table[0].start)
    try:
        return Fat(image, 0)
    except ConfigError:
        if packed := compressed.format_of(image):
            raise ConfigError(f"{image} is packed ({packed})", hint="unpack it first") from None
        raise ConfigError(
            f"{image} has neither a partition table nor a FAT: nothing starts from it",
            hint="a flash that was cut short leaves a card so: flash --resume goes on",
        ) from None


def models_of(boot: Filesystem) -> tuple[PiModel, ...]:
    """The models that a boot partition is for: it has their device trees.

    Where it has none, those whose start.elf it has. Raises ConfigError if it is damaged.
    """
    files = BootFiles(boot)
    starts = [one for one in MODELS.values() if f"start{one.generation}.elf" in files]
    trees = [
        one
        for one in MODELS.values()
        if any(name in files for name in (one.device_tree, one.downstream))
        or startup.find(files, one).device_tree in files
    ]
    return tuple([one for one in trees if one in starts] or trees or starts)


def check(image: Path, models: Sequence[PiModel]) -> list[str]:
    """What is wrong with a card for any of ``models``, a sentence each; [] if nothing is."""
    found: list[str] = []
    try:
        table = partitions(image)
        found += _table(table, models)
        fat = boot(image)
        found += _fat(table, fat)
        found += rules.check(fat, models)
        found += _roots(table, fat, models)
    except ConfigError as error:
        found.append(str(error).replace(str(image), "the image"))
    return found


def _table(table: Sequence[Partition], models: Sequence[PiModel]) -> Iterator[str]:
    if not table:
        return
    first = table[0]
    rom = " and a ".join(model.title for model in models if not model.eeprom)
    if _is_gpt(first):
        if rom:
            yield f"the card has a GPT, and the ROM of a {rom} reads an MBR alone"
        if first.type not in GPT:
            yield f"partition {first.number} has the type {first.type}, which is not one for FAT"
    elif first.type == MBR_EFI:
        if rom:
            yield f"partition {first.number} has the type {MBR_EFI}, which a {rom} does not start"
    elif first.type not in MBR:
        yield (
            f"partition {first.number}, the first, has the type {first.type}; the firmware "
            f"starts from {', '.join(MBR)}"
        )
    for one in table:
        if one.start % ALIGNMENT and one.number <= 4:
            yield (
                f"partition {one.number} begins at byte {one.start}, no multiple of 1 MiB: cards "
                "write it slowly and wear out sooner"
            )


def _fat(table: Sequence[Partition], fat: Fat) -> Iterator[str]:
    geometry = fat.geometry
    if geometry.bits == 12:
        yield f"the FAT is one of 12 bits, of {geometry.clusters} clusters; it must be FAT32"
    if not table:
        return
    first = table[0]
    if _is_gpt(first) and geometry.bits == 16:
        yield f"partition {first.number} is FAT16 in a GPT, which older firmware takes for FAT32"
    elif MBR.get(first.type, geometry.bits) != geometry.bits:
        yield (
            f"partition {first.number} has the type {first.type}, for FAT{MBR[first.type]}, "
            f"and holds FAT{geometry.bits}"
        )
    size = geometry.data + geometry.clusters * geometry.cluster
    if size > first.size:
        yield f"the FAT file system of {size} bytes is larger than partition {first.number}"


def _roots(table: Sequence[Partition], fat: Fat, models: Sequence[PiModel]) -> Iterator[str]:
    """That the partition is there which the kernel is to take for its root."""
    if not table:
        return
    files = BootFiles(fat)
    names = dict.fromkeys(startup.find(files, model).cmdline for model in models)
    for name in names:
        for word in files.text(name).split() if name in files else ():
            numbered = re.fullmatch(r"root=/dev/(?:mmcblk\d+p|sda)(\d+)", word)
            if numbered and int(numbered[1]) not in {one.number for one in table}:
                yield f"{name}: {word}: there is no partition {numbered[1]}"
            unique = re.fullmatch(r"root=PARTUUID=([0-9A-Fa-f-]+)", word)
            if unique and unique[1].lower() not in {one.uuid for one in table}:
                yield f"{name}: {word}: no partition has that UUID"


def _is_gpt(partition: Partition) -> bool:
    return not partition.type.startswith("0x")
