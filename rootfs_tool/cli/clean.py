"""``rootfs-tool clean``."""

from __future__ import annotations

from pathlib import Path

import click

from rootfs_tool import manifest
from rootfs_tool.clean import Shelf, clean, clean_cache
from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import is_build
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import find
from rootfs_tool.report.listing import bytes_of, columns


@click.command("clean")
@click.argument("what", required=False)
@out_option
@click.option("--runs", is_flag=True, help="Also what bring-ups have left in its runs/.")
@click.option("--cache", is_flag=True, help="Empty the cache; a build only if WHAT names it.")
@click.option(
    "--older-than",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Of the cache only what no build has used for so long.",
)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would go, and remove nothing.")
def command(
    what: str | None, out: Path, runs: bool, cache: bool, older_than: int | None, dry: bool
) -> None:
    """Remove the build of WHAT: its files in out/, and no others.

    WHAT is a directory that build has made; or a board or recipe.toml, if out/ holds its build;
    left out, it is out/ whatever it holds. A file that is not as it was built stays, and the
    reports of bring-ups unless --runs is given. Waits for builds that are running.
    """
    if older_than is not None and not cache:
        raise click.UsageError("--older-than goes with --cache")
    freed = 0
    with progress():
        if what is not None or not cache:
            for one in clean(_directory(what, out), runs=runs, dry=dry):
                click.echo(one.path)
                freed += one.size
        if cache:
            shelves = clean_cache(days=older_than, dry=dry)
            freed += sum(shelf.freed for shelf in shelves)
            _show(shelves)
    click.echo(f"{'would free' if dry else 'freed'} {bytes_of(freed)}")


def _directory(what: str | None, out: Path) -> Path:
    if what is None:
        return out
    if is_build(what):
        return Path(what)
    recipe, _ = find(what)
    held = manifest.read(out).board
    if held != recipe.board.name:
        raise ConfigError(
            f"{out} holds a build of {held}, not of {recipe.board.name}",
            hint="-o names its directory",
        )
    return out


def _show(shelves: tuple[Shelf, ...]) -> None:
    rows = [("cache", "entries", "size", "removed", "freed")]
    rows += [
        (one.name, str(one.entries), bytes_of(one.size), str(one.removed), bytes_of(one.freed))
        for one in shelves
    ]
    for line in columns(rows, right=(1, 2, 3, 4)):
        click.echo(line)
