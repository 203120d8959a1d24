"""Commands on a board, over its console."""

from __future__ import annotations

from rootfs_tool.shell.shell import Result, Shell

__all__ = ["Result", "Shell"]
