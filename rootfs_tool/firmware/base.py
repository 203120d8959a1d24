"""What every kind of firmware does: fetch its files, fill a boot partition, check one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.artefact import Artefact
from rootfs_tool.filesystem.base import Filesystem
from rootfs_tool.model import Model
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What the firmware is to start.

    ``kernel`` and ``initramfs`` are files of this host that may not be there yet: they are read
    when the image is written. ``device_tree`` gives the file of a device tree that the kernel's
    package has, such as "broadcom/bcm2837-rpi-3-b.dtb", or raises ConfigError. ``cmdline`` is the
    kernel's whole command line.
    """

    kernel: Path
    initramfs: Path | None
    device_tree: Callable[[str], Path]
    cmdline: str


class Firmware(Model, ABC):
    type: str
    """Which kind it is: each gives the one value that this can have."""

    @abstractmethod
    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        """Have its files on this host. Raises FetchError."""

    @abstractmethod
    def fill(self, boot: Tree, artefacts: Sequence[Artefact], payload: Payload) -> None:
        """Put into ``boot``, the tree of the boot partition, all that the board starts from."""

    @abstractmethod
    def check(self, boot: Filesystem) -> list[str]:
        """What the firmware would not like about a boot partition, a sentence each; [] if none."""

    @abstractmethod
    def titles(self) -> str:
        """What a card with it is for, as people call it."""

    @abstractmethod
    def check_card(self, image: Path) -> list[str]:
        """The same about a whole card: its partitions too, and its boot partition as above."""
