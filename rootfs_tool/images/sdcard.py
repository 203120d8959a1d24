"""The [[image]] table of an SD card: which partitions it gets, and how large they are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rootfs_tool.blockmap import BlockMap
from rootfs_tool.images.base import Contents, ImageFormat
from rootfs_tool.model import Field


class SdCard(ImageFormat):
    """An SD card with a boot partition, and the one that holds / if it is not in RAM."""

    type: Literal["sdcard"] = "sdcard"

    table: Literal["mbr", "gpt"] = "mbr"
    """The partition table; a Raspberry Pi before the 4 boots from an MBR only."""

    boot_size: int | None = Field(default=None, ge=1, le=1 << 20)
    """MiB of the boot partition; absent: what its files need, and a quarter of that to spare."""

    root_size: int | None = Field(default=None, ge=1, le=1 << 20)
    """MiB of the partition that holds /; absent: what it needs."""

    data_size: int = Field(default=0, ge=0, le=1 << 20)
    """MiB of a partition that keeps what is laid over a squashfs; 0: there is none."""

    compression: Literal["none", "gz", "xz", "zst"] = "none"
    """How the image is packed once it is made, which `flash` unpacks; its holes cost nothing."""

    grow: bool = False
    """Whether the last partition grows to the end of the card when the board first boots."""

    @property
    def filename(self) -> str:
        return "sdcard.img"

    def write(self, contents: Contents, out: Path, *, epoch: int) -> BlockMap:
        """As in ImageFormat. Raises ConfigError naming what does not fit, and what it needs."""
        from rootfs_tool.images import cardimage  # much to load for those who only read a board

        return cardimage.write(
            contents,
            out,
            epoch=epoch,
            table=self.table,
            boot_size=self.boot_size,
            root_size=self.root_size,
            data_size=self.data_size,
        )
