"""What tests of SSH share: keys, a recipe in a file, a port that is free."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool import recipe


@dataclass(frozen=True, slots=True)
class Keys:
    """Key pairs in files: ``mine`` is the board's to know, ``other`` is not."""

    mine: Path
    other: Path


def made_keys(directory: Path) -> Keys:
    for name in ("mine", "other"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True
        )
    return Keys(directory / "mine", directory / "other")


def written(where: Path, text: str) -> recipe.Recipe:
    (where / "recipe.toml").write_text(text)
    return recipe.find(str(where / "recipe.toml"))[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
