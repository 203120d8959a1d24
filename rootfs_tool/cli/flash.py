"""``rootfs-tool flash``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rootfs_tool import paths
from rootfs_tool.cli.cards import plan, show_list
from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.errors import ConfigError, DeviceError
from rootfs_tool.events import step
from rootfs_tool.flash import refuse
from rootfs_tool.flash.disk import Disk, cards, in_words, inspect
from rootfs_tool.flash.source import Source, find
from rootfs_tool.flash.write import Flashed, flash

if TYPE_CHECKING:
    from rootfs_tool.board import Board  # heavy, and not needed for a card of this host

LOGIN = 60.0  # seconds until a board that is alive must have a shell
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
@click.option("--console", metavar="URL", help="Have a board that runs do it, to its own card.")
@click.option("--board", metavar="WHAT", help="With --console: what runs there, if not WHAT.")
@click.option(
    "--tftp-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="With --console: UDP port of the TFTP server; 0 is any free one.",
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
    console: str | None,
    board: str | None,
    tftp_port: int,
    out: Path,
) -> None:
    """Write the image of WHAT to the card DEVICE, and read all of it back.

    WHAT is a board, a recipe.toml, an out/, or an image file: as it is, or packed by gzip, xz,
    zstd or bzip2. DEVICE is the whole card, such as /dev/sdb; it may be left out if there is one.

    With --console DEVICE is a disk of the board, which fetches the image over its network; it may
    be left out if the board's profile names one.
    """
    if listing:
        show_list(as_json=as_json)
        return
    if what is None:
        raise click.UsageError("WHAT is missing: a board, a recipe.toml, an out/ or an image file")
    if console is not None:
        if changed_only or resume or eject or really is not None:
            raise click.UsageError(
                "--changed-only, --resume, --eject and --really are for a card of this host"
            )
        running = _running(what, board)
        with progress():
            source = find(_image(what, out))
        _on_board(source, console, running, device, yes=yes, as_json=as_json, tftp_port=tftp_port)
        return
    if board is not None or tftp_port:
        raise click.UsageError("--board and --tftp-port go with --console URL")
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
    _ask(f"Erase {disk.device}?", yes)
    _check_unchanged(disk, needs=source.size, really=really)
    with progress():
        done = flash(source, disk.device, rdev=disk.rdev, name=str(disk), **how)
    _tell(disk, done, as_json)


def _running(what: str, board: str | None) -> Board:
    """The profile of what runs on the board: its console, network and disk."""
    from rootfs_tool import recipe

    if board is None and _is_image(what):
        raise ConfigError(
            f"{what} does not say which board is at the console",
            hint="--board NAME, or the recipe.toml or out/ of what runs there now",
        )
    return recipe.find(board or what)[0].board


def _on_board(
    source: Source,
    url: str,
    running: Board,
    device: Path | None,
    *,
    yes: bool,
    as_json: bool,
    tftp_port: int,
) -> None:
    from rootfs_tool.flash import board, boarddisk
    from rootfs_tool.shell import Shell
    from rootfs_tool.targets import Attached

    name = str(device or (running.disk and f"/dev/{running.disk.device}") or "")
    if not name:
        raise ConfigError(f"DEVICE is missing: {running.name} has no [disk]")
    if not yes and not sys.stdin.isatty():
        raise ConfigError(f"nobody is there to say yes to the loss of {name}", hint="add --yes")
    attached = Attached(console=url)
    host = attached.host(running.network)
    with ExitStack() as stack:
        line = running.console
        with progress(), step("log in"):
            console = stack.enter_context(attached.boot(None, line))
            shell = Shell.attach(console, line, timeout=LOGIN)
            stack.callback(shell.leave)
        disk = boarddisk.inspect(shell, name, needs=source.size)
        click.echo("\n".join(plan(disk, source, on_board=True)), err=True)
        _ask(f"Erase {disk.device} of the board?", yes)
        now = boarddisk.inspect(shell, name, needs=source.size)
        if now != disk:
            raise _changed(now)
        with progress():
            done = board.flash(source, shell, disk, host, tftp_port=tftp_port)
    _tell(disk, done, as_json)
    if not as_json:
        click.echo("restart the board to start from it", err=True)


def _ask(question: str, yes: bool) -> None:
    if not yes and not click.confirm(question, err=True):
        click.echo("nothing was written", err=True)
        sys.exit(DECLINED)


def _only_card(*, may_ask: bool) -> Disk:
    """The card of a host that has one. Raises ConfigError if it has not, or nobody can be asked."""
    found = cards()
    if len(found) == 1 and may_ask:
        return found[0]
    names = "; ".join(map(str, found)) or "no card is in this host"
    raise ConfigError(f"DEVICE is missing: {names}", hint="rootfs-tool flash --list shows more")


def _is_image(what: str) -> bool:
    return Path(what).is_file() and Path(what).suffix != ".toml"


def _image(what: str, out: Path) -> Path:
    """The image file that WHAT is or has, built if need be."""
    if _is_image(what):
        return Path(what)
    # here, for an image file needs none of what makes one
    from rootfs_tool import manifest, recipe
    from rootfs_tool.cli.subject import built, is_build

    if is_build(what):
        return manifest.load(Path(what)).image("sdcard")
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
    options = [f"--{name.replace('_', '-')}" for name, said in flags.items() if said]
    if really is not None:
        options += ["--really", str(really)]
    files = [str(source.path.absolute()), str(disk.path)]
    raise DeviceError(
        f"{disk} may be written by root only",
        hint=f"sudo {shlex.join([*paths.program(), 'flash', *options, *files])}",
    )


def _check_unchanged(disk: Disk, *, needs: int, really: Path | None) -> None:
    """Raise DeviceError if it isn't any more what was shown: cards are swapped, and mounted."""
    now = inspect(disk.path)
    refuse.check(now, needs=needs, really=really)
    if now != disk:
        raise _changed(now)


def _changed(now: Disk) -> DeviceError:
    return DeviceError(f"{now} has changed since it was shown", hint="look at it once more")


def _tell(disk: Disk, done: Flashed, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"device": str(disk.device), **asdict(done)}))
        return
    kept = f", {in_words(done.same)} were there already" if done.same else ""
    read = f"{in_words(done.read)} read back and equal"
    click.echo(f"{disk.device}: {in_words(done.written)} written{kept}, {read}")
