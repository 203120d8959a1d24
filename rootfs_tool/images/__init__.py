"""Image formats: a tree in, a file out, the same bytes every time."""

from typing import Annotated

from rootfs_tool.images.base import ImageFormat
from rootfs_tool.images.cpio import Cpio
from rootfs_tool.images.erofs import Erofs
from rootfs_tool.images.ext4 import Ext4
from rootfs_tool.images.sdcard import SdCard
from rootfs_tool.images.squashfs import Squashfs
from rootfs_tool.model import Kinds

AnyImage = Annotated[ImageFormat, Kinds(Cpio, Erofs, Ext4, SdCard, Squashfs)]

__all__ = ["AnyImage", "Cpio", "Erofs", "Ext4", "ImageFormat", "SdCard", "Squashfs"]
