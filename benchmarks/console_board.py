"""The board that the console tools work on, built once, and bad lines to its port."""

from __future__ import annotations

import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.shell.line import OpenBoard, Relay
from tests.shell.noise import Faults

BOARD = "qemu-aarch64"


def build(directory: Path) -> Path:
    """The board's image, built once."""
    out = directory / "out"
    if not (out / "manifest.json").exists():
        program = Path(sys.executable).with_name("rootfs-tool")
        subprocess.run([program, "build", BOARD, "-o", out], check=True, capture_output=True)
    return out


@contextmanager
def behind(port: str, faults: Faults) -> Iterator[Relay]:
    """A bad line to ``port``."""
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(descriptor)
        relay = Relay(OpenBoard(descriptor), faults)
        try:
            yield relay
        finally:
            relay.close()
    finally:
        os.close(descriptor)
