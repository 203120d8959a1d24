"""``rootfs-tool lock``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click

from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import is_build
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import find
from rootfs_tool.relock import Change, relock
from rootfs_tool.report.listing import columns


@click.command("lock")
@click.argument("what")
@click.option("--update", is_flag=True, help="Take the newest of every package.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if there is something to write.")
def command(what: str, update: bool, check: bool) -> None:
    """Pin every package that building WHAT takes, a board's name or a recipe.toml.

    They are pinned in the .lock beside its file, and are in the cache afterwards. What is pinned
    already stays as it is; what nothing needs any more goes. Prints each package with the version
    that was pinned and the one that is pinned now.
    """
    if is_build(what):
        raise ConfigError(f"{what} is a build already", hint="name its board or its recipe.toml")
    recipe, file = find(what)
    path = file.with_suffix(".lock")
    with progress():
        done = relock(recipe, path, update=update, check=check)
    for line in columns(list(_rows(done.changes))) if done.changes else ():
        click.echo(line)
    for one in done.left:
        click.echo(f"{one.name}: {one.old} is not in this host's archive, --update pins another")
    if check and not done.current:
        click.echo(f"{path} is not current")
        sys.exit(1)
    click.echo(f"{path}: {done.pins} packages{'' if done.changes else ', nothing to change'}")


def _rows(changes: Iterable[Change]) -> Iterator[tuple[str, str, str, str]]:
    for one in changes:
        yield one.name, one.old or "-", "→", one.new or "-"
