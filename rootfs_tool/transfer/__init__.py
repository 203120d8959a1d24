"""Files to a board and from it, over its console: checked, packed, and resumed after a break."""

from __future__ import annotations

from rootfs_tool.transfer.pull import Received, fetch, get
from rootfs_tool.transfer.push import Sent, put

__all__ = ["Received", "Sent", "fetch", "get", "put"]
