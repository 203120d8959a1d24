"""What ``run`` and ``bringup`` are asked to boot: built if need be, and the machine to boot it."""

from __future__ import annotations

from pathlib import Path

import click

from rootfs_tool import hostkeys, manifest
from rootfs_tool.build import build
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import Build
from rootfs_tool.recipe import Recipe
from rootfs_tool.targets import Qemu


def built(what: str, recipe: Recipe, file: Path, out: Path) -> Build:
    """WHAT, whose recipe is in ``file``, as a build: an out/ as it lies there, else built now.

    Raises whatever building raises.
    """
    done = (
        manifest.load(Path(what))
        if is_build(what)
        else build(recipe, out, lock=file.with_suffix(".lock"))
    )
    # Until the command ends.
    return click.get_current_context().with_resource(hostkeys.given(recipe, done))


def is_build(what: str) -> bool:
    """Whether WHAT is a directory that ``build`` has made."""
    return (Path(what) / "manifest.json").is_file()


def machine(recipe: Recipe) -> Qemu:
    """The first QEMU machine of the board. Raises ConfigError if it has none."""
    for target in recipe.all_targets:
        if isinstance(target, Qemu):
            return target
    raise ConfigError(
        f"{recipe.board.name} has no QEMU machine to boot on",
        hint="--console serial:/dev/ttyUSB0 brings up the board itself; "
        'or add [[target]] type = "qemu" to its profile',
    )
