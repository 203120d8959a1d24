"""What every image format does: what a build has made in, a file out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rootfs_tool.blockmap import BlockMap
from rootfs_tool.model import Model
from rootfs_tool.tree import Tree

# The partitions of a card, counted from 1 as the kernel does.
BOOT_PARTITION, ROOT_PARTITION, DATA_PARTITION = 1, 2, 3


class Root(StrEnum):
    """Where the board's / is."""

    RAM = "ram"
    """In RAM: the initramfs is the rootfs, and what is written is gone at the next boot."""
    CARD = "card"
    """On the card's second partition, an ext4 that is written to."""
    OVERLAY = "overlay"
    """A squashfs on the card that is never written; changes are laid over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a build has made for its images.

    ``initramfs`` is what the kernel unpacks: the rootfs itself if ``root`` is RAM, else the little
    that finds ``rootfs`` on the card. ``boot`` is the boot partition; it may hold images that are
    written before the one that it is for.
    """

    rootfs: Tree
    initramfs: Tree
    boot: Tree = field(default_factory=Tree)
    root: Root = Root.RAM


class ImageFormat(Model, ABC):
    type: str
    """Which kind it is: each gives the one value that this can have."""

    @property
    @abstractmethod
    def filename(self) -> str:
        """The image's name in out/."""

    @abstractmethod
    def write(self, contents: Contents, out: Path, *, epoch: int) -> BlockMap | None:
        """Write the file ``out``: the same bytes for the same contents and ``epoch``.

        ``epoch`` is the time, in seconds since 1970, of every node. Returns the map of an image
        that is for a device, None for one that is not.
        """
