"""What every target does: run a build and hand over its console."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address

from rootfs_tool.console.base import Console, Line
from rootfs_tool.manifest import Build
from rootfs_tool.model import Model
from rootfs_tool.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAddress:
    """This host as seen from both sides: what a server binds, and what the board calls it."""

    bind: str
    seen: IPv4Address


class Target(Model, ABC):
    @abstractmethod
    def boot(self, build: Build, line: Line) -> AbstractContextManager[Console]:
        """Run ``build`` until the block ends; whatever was started is gone afterwards."""

    @abstractmethod
    def host(self, network: Network) -> HostAddress:
        """Where a server on this host is reached from the board."""

    @abstractmethod
    def reach(self, network: Network, port: int) -> tuple[str, int] | None:
        """Where this host reaches the board's TCP ``port``: an address and a port, or nowhere."""
