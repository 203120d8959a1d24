"""``rootfs-tool flash``."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from rootfs_tool.cli.cards import plan, show_list
from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.errors import ConfigError, DeviceError
from rootfs_tool.flash import refuse
from rootfs_tool.flash.disk import Disk, cards, in_words, inspect
from rootfs_tool.flash.source import Source, find
from rootfs_tool.flash.write import Flashed, flash

DECLINED = 130  # as for a question that is left with Ctrl-C


@click.command("flash")
@click.argument("what", required=False)
@click.argument("device", required=False, type=click.Path(readable=False, path_type=Path))
@click.option("--list", "listing", is_flag=True, help="List the cards of this host instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the list or the result as JSON.")
@click.option("--yes", is_flag=True, help="Don't ask: for scripts, which must name DEVICE.")
@click.option("--changed-only", is_flag=True, help="Write only the blocks that differ.")
@click.option("--resume", is_flag=True, help="Go on with a flash that was interrupted.")
@click.option("--eject", is_flag=True, help="Eject the card once it is written.")
@click.option(
    "--really",
    metavar="DEVICE",
    type=click.Path(readable=False, path_type=Path),
    help="Name it again, for a disk that is built in or larger than a card.",
)
@out_option
def command(
    what: str | None,
    device: Path | None,
    listing: bool,
    as_json: bool,
    yes: bool,
    changed_only: bool,
    resume: bool,
    eject: bool,
    really: Path | None,
    out: Path,
) -> None:
    """Write the image of WHAT to the card DEVICE, and read all of it back.

    WHAT is a board, a recipe.toml, an out/, or an image file: as it is, or packed by gzip, xz,
    zstd or bzip2. DEVICE is the whole card, such as /dev/sdb; it may be left out if there is one.
    """
    if listing:
        show_list(as_json=as_json)
        return
    if what is None:
        raise click.UsageError("WHAT is missing: a board, a recipe.toml, an out/ or an image file")
    disk = inspect(device) if device else _only_card(may_ask=not yes and sys.stdin.isatty())
    refuse.check(disk, really=really)
    if not yes and not sys.stdin.isatty():
        raise ConfigError(f"nobody is there to say yes to the loss of {disk}", hint="add --yes")
    with progress():
        source = find(_image(what, out))
    refuse.check(disk, needs=source.size, really=really)
    how = {"changed_only": changed_only, "resume": resume, "eject": eject}
    _check_permission(disk, source, {"yes": yes, **how}, really)
    click.echo("\n".join(plan(disk, source)), err=True)
    if not yes and not click.confirm(f"Erase {disk.device}?", err=True):
        click.echo("nothing was written", err=True)
        sys.exit(DECLINED)
    _check_unchanged(disk, needs=source.size, really=really)
    with progress():
        done = flash(source, disk.device, rdev=disk.rdev, name=str(disk), **how)
    _tell(disk, done, as_json)


def _only_card(*, may_ask: bool) -> Disk:
    """The card of a host that has one. Raises ConfigError if it has not, or nobody can be asked."""
    found = cards()
    if len(found) == 1 and may_ask:
        return found[0]
    names = "; ".join(map(str, found)) or "no card is in this host"
    raise ConfigError(f"DEVICE is missing: {names}", hint="rootfs-tool flash --list shows more")


def _image(what: str, out: Path) -> Path:
    """The image file that WHAT is or has, built if need be."""
    path = Path(what)
    if path.is_file() and path.suffix != ".toml":
        return path
    # here, for an image file needs none of what makes one
    from rootfs_tool import manifest, recipe
    from rootfs_tool.cli.subject import built, is_build

    if is_build(what):
        return manifest.load(path).image("sdcard")
    return built(what, *recipe.find(what), out).image("sdcard")


def _check_permission(
    disk: Disk, source: Source, flags: Mapping[str, bool], really: Path | None
) -> None:
    """Raise DeviceError with the line to type, if this user may not write the device.

    The image is named, not what it was built from: root would build it once more, into a cache and
    an out/ of root's.
    """
    if os.access(disk.device, os.R_OK | os.W_OK):
        return
    program = [str(Path(shutil.which(sys.argv[0]) or sys.argv[0]).absolute())]
    if program[0].endswith("__main__.py"):
        program = [sys.executable, "-m", "rootfs_tool"]
    options = [f"--{name.replace('_', '-')}" for name, said in flags.items() if said]
    if really is not None:
        options += ["--really", str(really)]
    paths = [str(source.path.absolute()), str(disk.path)]
    raise DeviceError(
        f"{disk} may be written by root only",
        hint=f"sudo {shlex.join([*program, 'flash', *options, *paths])}",
    )


def _check_unchanged(disk: Disk, *, needs: int, really: Path | None) -> None:
    """Raise DeviceError if it isn't any more what was shown: cards are swapped, and mounted."""
    now = inspect(disk.path)
    refuse.check(now, needs=needs, really=really)
    if now != disk:
        raise DeviceError(f"{now} has changed since it was shown", hint="look at it once more")


def _tell(disk: Disk, done: Flashed, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"device": str(disk.device), **asdict(done)}))
        return
    kept = f", {in_words(done.same)} were there already" if done.same else ""
    read = f"{in_words(done.read)} read back and equal"
    click.echo(f"{disk.device}: {in_words(done.written)} written{kept}, {read}")
