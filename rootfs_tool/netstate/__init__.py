"""The state of a board's network, from both ends: what its kernel says, and what this host sees."""

from rootfs_tool.netstate.state import State, of_board, parse
from rootfs_tool.netstate.view import View, look

__all__ = ["State", "View", "look", "of_board", "parse"]
