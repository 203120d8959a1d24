"""``rootfs-tool net``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rootfs_tool.cli.line import (
    BOOT,
    Command,
    Where,
    ask_password,
    attached,
    attached_shell,
    resolve,
)
from rootfs_tool.cli.out import out_option
from rootfs_tool.cli.progress import progress
from rootfs_tool.console.base import Line
from rootfs_tool.events import step
from rootfs_tool.netstate.view import Asked, View, Way, look
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed
from rootfs_tool.targets import Attached, Qemu
from rootfs_tool.targets.qemu import USER

if TYPE_CHECKING:
    from rootfs_tool.recipe import Recipe

_LARGEST = 65535


def _ports(context: click.Context, option: click.Parameter, value: str | None) -> frozenset[int]:
    """Ports as a person writes them: "22,80,8000-8010"."""
    found: set[int] = set()
    for text in value.split(",") if value else ():
        first, dash, last = text.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise click.BadParameter(f'"{text}" is no port: 22, or 8000-8010')
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= _LARGEST:
            raise click.BadParameter(f'"{text}": ports are 1 to {_LARGEST}, the smaller first')
        found |= set(range(low, high + 1))
    return frozenset(found)


def _ports_option(*names: str, text: str) -> Callable[[Command], Command]:
    return click.option(*names, callback=_ports, metavar="PORTS", help=text)


@click.command("net")
@click.argument("what", required=False)
@click.option(
    "--console",
    metavar="URL",
    help="The serial line of a board that is up.  [default: as of `exec`]",
)
@click.option("--baudrate", type=click.IntRange(50, 4_000_000), help="Bits per second of the line.")
@out_option
@_ports_option("--scan", "ports", text="Look at these too.")
@_ports_option("--expect-open", text="Fail if one of these is not open.")
@_ports_option("--expect-closed", text="Fail if one of these is open.")
@click.option("--no-scan", is_flag=True, help="Connect to nothing: some programs serve but once.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def command(
    what: str | None,
    console: str | None,
    baudrate: int | None,
    out: Path,
    ports: frozenset[int],
    expect_open: frozenset[int],
    expect_closed: frozenset[int],
    no_scan: bool,
    as_json: bool,
) -> None:
    """Show the network of WHAT (a board, a recipe.toml or an out/), or of what is at --console.

    Its interfaces, routes, neighbours and name servers; each socket that listens, with its program
    and whom it is open to; its connections; and which of its TCP ports this host reaches. A board
    that is attached is asked as it is, a QEMU machine is booted for it and powered off again.

    PORTS are like 22,80,8000-8010. Exits 1 when a port is not what --expect-… says.
    """
    if both := sorted(expect_open & expect_closed):
        raise click.UsageError(f"port {both[0]} can't be both open and closed")
    if no_scan and (ports or expect_open or expect_closed):
        raise click.UsageError("--no-scan leaves no ports to look at")
    asked = Asked(ports=ports, open=expect_open, closed=expect_closed, scan=not no_scan)
    with progress(programs=sys.stderr), _board(what, console, baudrate, out) as (shell, way):
        view = look(shell, way, asked)
    _show(view, as_json)
    sys.exit(0 if view.as_demanded else 1)


@contextmanager
def _board(
    what: str | None, console: str | None, baudrate: int | None, out: Path
) -> Iterator[tuple[Shell, Way]]:
    """Its shell, and how this host reaches it."""
    if what is None:
        with attached_shell(resolve(console, None, baudrate)) as shell:
            yield shell, Way()
        return
    from rootfs_tool.recipe import find  # heavy, and not needed for a board that any shell answers

    recipe, file = find(what)
    targets = recipe.board.target
    if board := attached(targets if console else targets[:1], console):
        where = Where(url=board.console, line=_line(recipe, baudrate), target=board)
        with attached_shell(where) as shell:
            yield shell, _to(board, recipe)
        return
    with _booted(what, recipe, file, out) as booted:
        yield booted


def _line(recipe: Recipe, baudrate: int | None) -> Line:
    line = recipe.board.console
    return line if baudrate is None else line.model_copy(update={"baudrate": baudrate})


def _to(board: Attached, recipe: Recipe) -> Way:
    """At the console may be a QEMU that runs already: then its forwards are the recipe's."""
    network = recipe.board.network
    way = Way(reach=partial(board.reach, network))
    for one in recipe.all_targets:
        if isinstance(one, Qemu) and one.network == USER:
            return replace(way, forwards=partial(one.reach, network))
    return way


@contextmanager
def _booted(what: str, recipe: Recipe, file: Path, out: Path) -> Iterator[tuple[Shell, Way]]:
    from rootfs_tool.cli.subject import built, machine

    qemu, network, line = machine(recipe), recipe.board.network, recipe.board.console
    reach = partial(qemu.reach, network)
    way = Way(reach=reach, forwards=reach, user_network=qemu.network == USER)
    build = built(what, recipe, file, out)
    allowed = Allowed(ask_password=ask_password(), boot=True)
    with ExitStack() as stack:
        with step("boot and log in"):
            console = stack.enter_context(qemu.boot(build, line, network=network))
            shell = Shell.attach(console, line, timeout=BOOT, allowed=allowed)
        yield shell, way


def _show(view: View, as_json: bool) -> None:
    from rootfs_tool.report import net

    if as_json:
        click.echo(net.to_json(view), nl=False)
        return
    for line in net.lines(view):
        click.echo(line)
