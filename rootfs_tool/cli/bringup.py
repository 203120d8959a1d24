"""``rootfs-tool bringup``."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypedDict

import click

from rootfs_tool import elf, store
from rootfs_tool.bringup import Bringup, Report, bringup
from rootfs_tool.checks import Check, Program, Reboot, Spawn, of_network, of_services
from rootfs_tool.cli.line import ask_password, attached
from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import built, is_build, machine
from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import Recipe, find
from rootfs_tool.report.files import save, to_json, to_junit
from rootfs_tool.targets import Attached
from rootfs_tool.targets.base import HostAddress


@click.command("bringup")
@click.argument("what")
@click.option("--run", "runs", multiple=True, metavar="'FILE ARGS'", help="Fetch and run it.")
@click.option(
    "--spawn",
    "spawns",
    multiple=True,
    metavar="'FILE ARGS'",
    help="Fetch it and leave it running, before any --run.",
)
@click.option("--console", metavar="URL", help="The serial line of a real board.")
@out_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Seconds that each --run may take.",
)
@click.option(
    "--boot-timeout",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="Seconds until the board must have a shell.",
)
@click.option(
    "--tftp-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="UDP port of the TFTP server; 0 is any free one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report as JUnit XML to this file too.",
)
def command(
    what: str,
    runs: tuple[str, ...],
    spawns: tuple[str, ...],
    console: str | None,
    out: Path,
    timeout: float,
    boot_timeout: float,
    tftp_port: int,
    as_json: bool,
    junit: Path | None,
) -> None:
    """Boot WHAT (a board, a recipe.toml or an out/), check it, and run your programs on it.

    Exits 0 when all passed, 1 when a check or a program failed, 7 when the console was in trouble.
    """
    recipe, file = find(what)
    if junit is not None:
        _check_writable(junit)
    checks = _checks(recipe, spawns, runs, timeout)
    with progress(programs=sys.stderr if as_json else sys.stdout):
        wanted = Bringup(
            board=recipe.board.name,
            network=recipe.board.network,
            line=recipe.board.console,
            checks=checks,
            boot_timeout=boot_timeout,
            tftp_port=tftp_port,
            ask_password=ask_password(),
            **_target(what, recipe, file, out, console, checks),
        )
        directory = _directory(Path(what) if is_build(what) else out)
        with store.locked(directory):  # by which `clean` knows that it is being written
            report = bringup(
                wanted,
                transcript=directory / "console.log",
                keep=lambda report: save(report, directory / "report.json"),
            )
    _show(report, directory, as_json)
    if junit is not None:
        _write(junit, to_junit(report))
    sys.exit(report.exit_code)


def _checks(
    recipe: Recipe, spawns: Sequence[str], runs: Sequence[str], timeout: float
) -> tuple[Check, ...]:
    programs: list[Program | Spawn] = []
    for text in spawns:
        file, arguments = _command_line("--spawn", text)
        programs.append(Spawn(file=file, arguments=arguments))
    for text in runs:
        file, arguments = _command_line("--run", text)
        programs.append(Program(file=file, arguments=arguments, timeout=timeout))
    services = of_services([one.name for one in recipe.all_services], recipe.check)
    checks = (*of_network(recipe.board.network), *services, *programs, *recipe.check)
    for check in checks:
        if isinstance(check, (Program, Spawn)):
            elf.check(check.file, recipe.board.arch)
    return checks


def _command_line(option: str, text: str) -> tuple[Path, tuple[str, ...]]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text!r}: {error}", hint="close the quotes") from None
    if not words:
        raise ConfigError(f"{option} names no file")
    return Path(words[0]), tuple(words[1:])


class Where(TypedDict):
    """What a Bringup needs of its target."""

    boot: Callable[[], AbstractContextManager[Console]]
    host: HostAddress
    reach: Callable[[int], tuple[str, int] | None]


def _target(
    what: str, recipe: Recipe, file: Path, out: Path, url: str | None, checks: Sequence[Check]
) -> Where:
    """The board at ``url``; without one, the target that WHAT names first."""
    targets = recipe.board.target
    board = attached(targets if url else targets[:1], url)
    if board:
        return _attached(recipe, board)
    reboots = any(isinstance(check, Reboot) for check in checks)
    return _machine(what, recipe, file, out, reboots)


def _attached(recipe: Recipe, board: Attached) -> Where:
    return Where(
        boot=partial(board.boot, None, recipe.board.console),
        host=board.host(recipe.board.network),
        reach=partial(board.reach, recipe.board.network),
    )


def _machine(what: str, recipe: Recipe, file: Path, out: Path, reboots: bool) -> Where:
    qemu, network = machine(recipe), recipe.board.network
    build = built(what, recipe, file, out)
    return Where(
        boot=partial(qemu.boot, build, recipe.board.console, network=network, reboots=reboots),
        host=qemu.host(network),
        reach=partial(qemu.reach, network),
    )


def _directory(out: Path) -> Path:
    """A new out/runs/<time>, also when two runs start in the same second."""
    now = time.strftime("%Y-%m-%dT%H%M%S")
    for suffix in ("", *(f".{number}" for number in range(1, 1000))):
        directory = out / "runs" / f"{now}{suffix}"
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"{directory}: {error.strerror}", hint="-o names another") from None
        return directory
    raise ConfigError(f"{out}/runs has a thousand runs of this very second")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", hint="--junit names another file") from None


def _check_writable(file: Path) -> None:
    """Say before the boot, not after it, that a report can't be written."""
    there, directory = file.exists(), file.parent
    if not (there or directory.is_dir()):
        wrong = errno.ENOTDIR if directory.exists() else errno.ENOENT
    elif not os.access(file if there else directory, os.W_OK):
        wrong = errno.EACCES
    else:
        return
    raise ConfigError(f"{file}: {os.strerror(wrong)}", hint="--junit names another file")


def _show(report: Report, directory: Path, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(report), nl=False)
        return
    from rootfs_tool.report.terminal import show

    click.echo()
    show(report)
    click.echo(f"\nreport and console transcript: {directory}")
