"""``rootfs-tool build``."""

from __future__ import annotations

from pathlib import Path

import click

from rootfs_tool.build import build
from rootfs_tool.cli.progress import progress
from rootfs_tool.recipe import find


@click.command("build")
@click.argument("what")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out",
    show_default=True,
    help="Where the build goes.",
)
@click.option("--locked", is_flag=True, help="Fail if a pinned package can't be had (exit 4).")
@click.option("--update-lock", is_flag=True, help="Take the newest packages and pin them.")
def command(what: str, out: Path, locked: bool, update_lock: bool) -> None:
    """Build WHAT, a board's name or a recipe.toml, into a directory that holds all it needs."""
    recipe, file = find(what)
    with progress():
        done = build(
            recipe, out, lock=file.with_suffix(".lock"), locked=locked, update_lock=update_lock
        )
    for built in (*done.files(),):
        click.echo(f"{built.sha256}  {done.path(built)}")
