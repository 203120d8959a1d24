"""The models of Raspberry Pi that run 64-bit kernels: what differs between them as they start.

Sources: the documentation of the boot folder, of config.txt and of the revision codes at
raspberrypi.com, and the device trees in Linux 6.12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ModelName = Literal["3b", "3b+", "4b", "400", "cm4", "zero2w"]

_PI3 = "/soc/mmc@7e202000"  # the only controller of the BCM2837 that the slot is on in mainline
_PI4 = "/emmc2bus/mmc@7e340000"


@dataclass(frozen=True, slots=True, kw_only=True)
class PiModel:
    """One model.

    ``filters`` are the sections of config.txt that it reads, ``board_type`` is its number in
    [board-type=...]. ``device_tree`` is the file's name in mainline Linux, ``downstream`` in
    Raspberry Pi's own. ``eeprom`` says that it starts from one, and not from bootcode.bin.
    ``memory`` is the least that it is sold with, in MiB. ``slot`` is the node of the device tree
    that drives its card, or the eMMC of a module.
    """

    name: ModelName
    title: str
    filters: frozenset[str]
    board_type: int
    compatible: str
    device_tree: str
    downstream: str
    memory: int
    eeprom: bool
    slot: str

    @property
    def generation(self) -> str:
        """What the names of its start*.elf and fixup*.dat have behind "start" and "fixup"."""
        return "4" if self.eeprom else ""

    @property
    def kernel_32(self) -> str:
        return "kernel7l.img" if self.eeprom else "kernel7.img"


MODELS = {
    model.name: model
    for model in (
        PiModel(
            name="3b",
            title="Raspberry Pi 3 Model B",
            filters=frozenset({"pi3"}),
            board_type=0x08,
            compatible="raspberrypi,3-model-b",
            device_tree="bcm2837-rpi-3-b.dtb",
            downstream="bcm2710-rpi-3-b.dtb",
            memory=1024,
            eeprom=False,
            slot=_PI3,
        ),
        PiModel(
            name="3b+",
            title="Raspberry Pi 3 Model B+",
            filters=frozenset({"pi3", "pi3+"}),
            board_type=0x0D,
            compatible="raspberrypi,3-model-b-plus",
            device_tree="bcm2837-rpi-3-b-plus.dtb",
            downstream="bcm2710-rpi-3-b-plus.dtb",
            memory=1024,
            eeprom=False,
            slot=_PI3,
        ),
        PiModel(
            name="4b",
            title="Raspberry Pi 4 Model B",
            filters=frozenset({"pi4"}),
            board_type=0x11,
            compatible="raspberrypi,4-model-b",
            device_tree="bcm2711-rpi-4-b.dtb",
            downstream="bcm2711-rpi-4-b.dtb",
            memory=1024,
            eeprom=True,
            slot=_PI4,
        ),
        PiModel(
            name="400",
            title="Raspberry Pi 400",
            filters=frozenset({"pi4", "pi400"}),
            board_type=0x13,
            compatible="raspberrypi,400",
            device_tree="bcm2711-rpi-400.dtb",
            downstream="bcm2711-rpi-400.dtb",
            memory=4096,
            eeprom=True,
            slot=_PI4,
        ),
        PiModel(
            name="cm4",
            title="Raspberry Pi Compute Module 4",
            filters=frozenset({"pi4", "cm4"}),
            board_type=0x14,
            compatible="raspberrypi,4-compute-module",
            device_tree="bcm2711-rpi-cm4-io.dtb",
            downstream="bcm2711-rpi-cm4.dtb",
            memory=1024,
            eeprom=True,
            slot=_PI4,
        ),
        PiModel(
            name="zero2w",
            title="Raspberry Pi Zero 2 W",
            filters=frozenset({"pi0", "pi0w", "pi02"}),
            board_type=0x12,
            compatible="raspberrypi,model-zero-2-w",
            device_tree="bcm2837-rpi-zero-2-w.dtb",
            downstream="bcm2710-rpi-zero-2-w.dtb",
            memory=512,
            eeprom=False,
            slot=_PI3,
        ),
    )
}
