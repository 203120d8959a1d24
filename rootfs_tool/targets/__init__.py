"""Where a build runs: a target boots it and hands over the console."""

from typing import Annotated

from rootfs_tool.model import Kinds
from rootfs_tool.targets.attached import Attached
from rootfs_tool.targets.base import Target
from rootfs_tool.targets.qemu import Qemu

AnyTarget = Annotated[Target, Kinds(Attached, Qemu)]

__all__ = ["AnyTarget", "Attached", "Qemu", "Target"]
