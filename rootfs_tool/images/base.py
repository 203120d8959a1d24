"""What every image format does: a tree in, a file out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from rootfs_tool.model import Model
from rootfs_tool.tree import Tree


class ImageFormat(Model, ABC):
    type: str
    """Which kind it is: each gives the one value that this can have."""

    @property
    @abstractmethod
    def filename(self) -> str:
        """The image's name in out/."""

    @abstractmethod
    def write(self, tree: Tree, out: Path, *, epoch: int) -> None:
        """Write ``tree`` to the file ``out``: the same bytes for the same tree and ``epoch``.

        ``epoch`` is the time, in seconds since 1970, of every node.
        """
