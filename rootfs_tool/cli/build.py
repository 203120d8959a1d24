"""``rootfs-tool build``."""

from __future__ import annotations

from pathlib import Path

import click

from rootfs_tool.build import build
from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import is_build
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import find


@click.command("build")
@click.argument("what")
@out_option
@click.option("--locked", is_flag=True, help="Fail if a pinned package can't be had (exit 4).")
@click.option("--update-lock", is_flag=True, help="Take the newest packages and pin them.")
def command(what: str, out: Path, locked: bool, update_lock: bool) -> None:
    """Build WHAT, a board's name or a recipe.toml, into a directory that holds all it needs."""
    if locked and update_lock:
        raise click.UsageError("--locked takes what is pinned, --update-lock pins something else")
    if is_build(what):
        raise ConfigError(f"{what} is a build already", hint="name its board or its recipe.toml")
    recipe, file = find(what)
    with progress():
        done = build(
            recipe, out, lock=file.with_suffix(".lock"), locked=locked, update_lock=update_lock
        )
    for built in done.files():
        click.echo(f"{built.sha256}  {done.path(built)}")
