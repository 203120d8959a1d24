"""What every source does: fetch pinned bytes, and put them into the tree."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Model
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import Tree


class Source(Model, ABC):
    @abstractmethod
    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        """Have the bytes on this host: the only thing here that may use the network."""

    @abstractmethod
    def install(self, artefact: Artefact, tree: Tree) -> None: ...
