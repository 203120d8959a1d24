"""Which board is spoken to: the options that every command at a console has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import click

from rootfs_tool.console import connect, ports
from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed
from rootfs_tool.targets import Attached, Target

CONSOLE = "ROOTFS_TOOL_CONSOLE"  # the environment variable that stands in for --console
LOGIN = 60.0  # seconds until a board that is alive must have a shell
BOOT = 120.0  # seconds until one that was started anew must have it

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The console's address, the board's end of the line, and the board as a target."""

    url: str
    line: Line
    target: Attached


def line_options(command: Command) -> Command:
    """Add --console, --board and --baudrate, which `resolve` takes."""
    for option in (
        click.option(
            "--baudrate", type=click.IntRange(50, 4_000_000), help="Bits per second of the line."
        ),
        click.option(
            "--board",
            metavar="WHAT",
            help="What is at the console: a board or a recipe.toml.  [default: any, as root]",
        ),
        click.option(
            "--console",
            metavar="URL",
            help=f"Its serial line.  [default: the recipe's attached target, or ${CONSOLE}]",
        ),
    ):
        command = option(command)
    return command


def over_option(command: Command) -> Command:
    """Add --over: which way files go."""
    return click.option(
        "--over",
        type=click.Choice(["auto", "tftp", "line"]),
        default="auto",
        show_default=True,
        help="By the board's network, or over the line itself; auto tries the network first.",
    )(command)


def resolve(console: str | None, board: str | None, baudrate: int | None) -> Where:
    """The board that these three options mean.

    Raises ConfigError when none of them, nor the environment, says where its console is, and
    whatever loading ``board`` raises.
    """
    line, targets = _described(board)
    target = attached(targets, console) or attached((), os.environ.get(CONSOLE))
    if target is None:
        raise ConfigError("--console URL is missing: where is the board?", hint=ports.there())
    if baudrate is not None:
        line = line.model_copy(update={"baudrate": baudrate})
    return Where(url=target.console, line=line, target=target)


def _described(board: str | None) -> tuple[Line, Sequence[Target]]:
    if board is None:
        return Line(), ()
    from rootfs_tool import recipe  # heavy, and not needed for a board that any shell answers

    profile = recipe.find(board)[0].board
    return profile.console, profile.target


def attached(targets: Iterable[Target], url: str | None) -> Attached | None:
    """The first attached board of ``targets``, its console at ``url`` if that is said."""
    found = next((one for one in targets if isinstance(one, Attached)), None)
    if not url:
        return found
    return found.model_copy(update={"console": url}) if found else Attached(console=url)


def ask_password() -> Callable[[str], str] | None:
    """What asks a person for a password, if there is one."""
    return (
        partial(click.prompt, hide_input=True, err=True)
        if sys.stdin and sys.stdin.isatty()
        else None
    )


@contextmanager
def attached_shell(
    where: Where, timeout: float = LOGIN, *, recover: bool = False
) -> Iterator[Shell]:
    """A shell on the board within ``timeout`` seconds, which is left as it was found.

    With ``recover`` a board that hangs is started anew, and gets BOOT more. Raises what `connect`
    and `Shell.attach` raise.
    """
    with closing(connect(where.url, where.line)) as console:
        restart = partial(_restart, console, where) if recover else None
        allowed = Allowed(ask_password=ask_password(), restart=restart)
        seconds = timeout + BOOT if recover else timeout
        shell = Shell.attach(console, where.line, timeout=seconds, allowed=allowed)
        try:
            yield shell
        finally:
            shell.leave()


def _restart(console: Console, where: Where) -> None:
    from rootfs_tool.reset import Way, reset

    power = where.target.power
    reset(console, where.line, power=power, way=Way.POWER if power else Way.SYSRQ)
