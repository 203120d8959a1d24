"""How a person wants a board's console to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rootfs_tool.console.transcript import TimeFormat
from rootfs_tool.terminal.pace import Delays


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a session begins; most of it has a key that changes it."""

    name: str
    """What is at the other end, in words."""

    baudrate: int
    """Bits per second; what a board that does not echo is sent is timed by it."""

    log: Path | None = None
    log_strip: bool = False
    stamp: TimeFormat | None = None
    hexadecimal: bool = False
    echo: bool = False
    send: Path | None = None
    delays: Delays = field(default_factory=Delays)
