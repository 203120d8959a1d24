"""rootfs-tool flash: an image onto a card, guarded, verified, and never onto the wrong disk."""
