"""What starts the kernel: the boot partition as a board's firmware wants it, and its rules."""

from typing import Annotated

from rootfs_tool.firmware.base import Firmware
from rootfs_tool.firmware.raspberrypi import RaspberryPi
from rootfs_tool.model import Kinds

AnyFirmware = Annotated[Firmware, Kinds(RaspberryPi)]

__all__ = ["AnyFirmware", "Firmware", "RaspberryPi"]
