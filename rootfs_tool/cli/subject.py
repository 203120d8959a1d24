"""What ``run`` and ``bringup`` are asked to boot: built if need be, and the machine to boot it."""

from __future__ import annotations

from pathlib import Path

from rootfs_tool import manifest
from rootfs_tool.build import build
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import Build
from rootfs_tool.recipe import Recipe, find
from rootfs_tool.targets import Qemu


def subject(what: str, out: Path) -> tuple[Recipe, Build]:
    """WHAT as a recipe and a build: an out/ as it lies there, a board or recipe built into ``out``.

    Raises ConfigError for a name that is neither, and whatever building raises.
    """
    recipe, file = find(what)
    if (Path(what) / "manifest.json").is_file():
        return recipe, manifest.load(Path(what))
    return recipe, build(recipe, out, lock=file.with_suffix(".lock"))


def machine(recipe: Recipe) -> Qemu:
    """The first QEMU machine of the board. Raises ConfigError if it has none."""
    for target in recipe.board.target:
        if isinstance(target, Qemu):
            return target
    raise ConfigError(
        f"{recipe.board.name} has no QEMU machine to boot on",
        hint="--console serial:/dev/ttyUSB0 brings up the board itself; "
        'or add [[target]] type = "qemu" to its profile',
    )
