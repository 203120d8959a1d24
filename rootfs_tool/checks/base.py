"""What every bring-up check is given, and the one thing it does."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, TypeVar

from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.model import Model
from rootfs_tool.network import Network

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell
    from rootfs_tool.tftp import Server

Found = TypeVar("Found")


class CheckFailed(Exception):
    """The board answered, and the answer is no; ``hint`` is what mends it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class CheckSkipped(Exception):
    """The question makes no sense here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """All that a check may touch.

    ``host`` is this computer as the board sees it; ``reach`` says where this computer reaches a
    TCP port of the board's, None if nowhere.
    """

    shell: Shell
    network: Network
    server: Server
    host: IPv4Address
    reach: Callable[[int], tuple[str, int] | None]


class Check(Model, ABC):
    # The tag of the union in checks/__init__.py; every kind narrows it to its own word.
    type: Any

    @property
    def title(self) -> str:
        """How the report names it."""
        return str(self.type)

    def subject(self, bench: Bench) -> Subject:
        """What a diagnosis should know of the question if the answer is no."""
        return Subject()

    @abstractmethod
    def run(self, bench: Bench) -> str:
        """Ask the board; returns what was found. Raises CheckFailed or CheckSkipped."""


def patiently(bench: Bench, seconds: float, ask: Callable[[], Found]) -> Found:
    """What ``ask`` finds, which may take so long to come true: asked again while it fails."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except CheckFailed:
            if time.monotonic() >= deadline:
                raise
        bench.shell.run("sleep 0.2 2>/dev/null || sleep 1")
