"""``rootfs-tool run``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import built, machine
from rootfs_tool.recipe import find


@click.command("run")
@click.argument("what")
@out_option
@click.option(
    "--card",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the card in this file; without it each run gets a new one.",
)
def command(what: str, out: Path, card: Path | None) -> None:
    """Boot WHAT (a board, a recipe.toml or an out/) in QEMU, your terminal on its console."""
    recipe, file = find(what)
    qemu = machine(recipe)
    with progress():
        build = built(what, recipe, file, out)
    click.echo("leave with `poweroff` on the board, or Ctrl-A then X", err=True)
    for board, host in qemu.forwards().items():
        click.echo(f"127.0.0.1:{host} -> the board's TCP port {board}", err=True)
    sys.exit(qemu.run(build, card=card, network=recipe.board.network))
