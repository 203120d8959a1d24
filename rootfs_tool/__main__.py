"""``python -m rootfs_tool``."""

from rootfs_tool.cli import main

main()
