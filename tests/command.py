"""The command as a person types it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("rootfs-tool")
BOARDS = Path(__file__).parent.parent / "boards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


def rootfs_tool(*argv: str | Path, timeout: float = 120) -> Ran:
    """Run the installed program to its end."""
    done = subprocess.run(
        [PROGRAM, *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def built(directory: Path, lines: str, board: str = "qemu-aarch64") -> Path:
    """A build in ``directory`` of a board and the lines of a recipe.

    What it takes is pinned, as nobody is to wait for an archive: the Pi's twin has a filesystem's
    programs too.
    """
    recipe = directory / "recipe.toml"
    recipe.write_text(f'board = "{board}"\n{lines}')
    shutil.copy(BOARDS / "raspberrypi3-qemu.lock", directory / "recipe.lock")
    ran = rootfs_tool("build", recipe, "-o", directory / "out", timeout=600)
    assert ran.status == 0, ran.said
    return directory / "out"


def the_report(out: Path) -> dict[str, Any]:
    """report.json of the newest run."""
    newest = max((out / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    loaded: dict[str, Any] = json.loads((newest / "report.json").read_text())
    return loaded


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {result["name"]: result["outcome"] for result in report["results"]}
