"""Image formats: a tree in, a file out, the same bytes every time."""

from typing import Annotated

from rootfs_tool.images.base import ImageFormat
from rootfs_tool.images.cpio import Cpio
from rootfs_tool.model import Kinds

AnyImage = Annotated[ImageFormat, Kinds(Cpio)]

__all__ = ["AnyImage", "Cpio", "ImageFormat"]
