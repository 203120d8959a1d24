"""``rootfs-tool run``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import built, machine
from rootfs_tool.recipe import find


@click.command("run")
@click.argument("what")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out",
    show_default=True,
    help="Where the build goes, if WHAT is not built yet.",
)
def command(what: str, out: Path) -> None:
    """Boot WHAT (a board, a recipe.toml or an out/) in QEMU, your terminal on its console."""
    with progress():
        recipe, file = find(what)
        build = built(what, recipe, file, out)
    click.echo("leave with `poweroff` on the board, or Ctrl-A then X", err=True)
    sys.exit(machine(recipe).run(build))
