"""Where bytes come from. One file, one class, one name in this table."""

from typing import Annotated

from rootfs_tool.model import Kinds
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.busybox import Busybox
from rootfs_tool.sources.deb import Deb
from rootfs_tool.sources.file import LocalFile

AnySource = Annotated[Source, Kinds(Busybox, Deb, LocalFile)]

__all__ = ["AnySource", "Busybox", "Deb", "LocalFile", "Source"]
