"""The [[image]] table of an initramfs, which the kernel unpacks into RAM."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rootfs_tool import newc
from rootfs_tool.images.base import Contents, ImageFormat


class Cpio(ImageFormat):
    """An initramfs, which the kernel unpacks into RAM."""

    type: Literal["cpio"] = "cpio"

    compression: Literal["zstd", "gzip", "none"] = "zstd"
    """How it is compressed; the kernel must know it too."""

    @property
    def filename(self) -> str:
        ends = {"zstd": ".zst", "gzip": ".gz", "none": ""}
        return f"initramfs.cpio{ends[self.compression]}"

    def write(self, contents: Contents, out: Path, *, epoch: int) -> None:
        newc.write(contents.initramfs, out, epoch=epoch, compression=self.compression)
