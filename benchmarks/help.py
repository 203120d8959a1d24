"""``rootfs-tool --help`` against the same interpreter doing nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.side_by_side import compare, report

PROGRAM = Path(sys.executable).with_name("rootfs-tool")


def quietly(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


found = compare(
    lambda: quietly(PROGRAM, "--help"),
    lambda: quietly(sys.executable, "-c", "pass"),
    rounds=20,
)
report("rootfs-tool --help", "python3 -c pass", found, goal=3)
