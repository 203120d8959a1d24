"""Where bytes come from. One file, one class, one name in this table."""

from typing import Annotated

from rootfs_tool.model import Kinds
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.busybox import Busybox
from rootfs_tool.sources.cc import Cc
from rootfs_tool.sources.deb import Deb
from rootfs_tool.sources.file import LocalFile
from rootfs_tool.sources.make import Make

AnySource = Annotated[Source, Kinds(Busybox, Cc, Deb, LocalFile, Make)]

__all__ = ["AnySource", "Busybox", "Cc", "Deb", "LocalFile", "Make", "Source"]
