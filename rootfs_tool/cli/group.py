"""The click group: finds a command's module when it is called, and turns errors into exit codes."""

from __future__ import annotations

import difflib
import errno
import gc
import importlib
import logging
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click

from rootfs_tool import __version__
from rootfs_tool.cli import COMMANDS, help_text, streams
from rootfs_tool.errors import ConfigError, ConsoleError, RootfsToolError
from rootfs_tool.printable import printable

INTERRUPTED = 130
BUG = 70


class Lazy(click.Group):
    """Commands by the table in rootfs_tool/cli/__init__.py."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"rootfs_tool.cli.{COMMANDS[cmd_name][0]}")
        gc.freeze()
        gc.enable()
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _no_pipe():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _no_pipe():
            return super().invoke(ctx)

    def get_help(self, ctx: click.Context) -> str:
        return help_text().rstrip("\n")


@contextmanager
def _no_pipe() -> Iterator[None]:
    """Whoever read our output has gone: click would exit with 1, which is a check that failed.

    So it would of any other pipe that broke, which is an error to be told.
    """
    try:
        yield
    except BrokenPipeError as error:
        if streams.gone():
            raise click.exceptions.Exit(streams.GONE) from None
        raise _in_words(error) from error


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True)
@click.option("--debug", is_flag=True)
def group(verbose: bool, debug: bool) -> None:
    level = logging.DEBUG if verbose or debug else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("rootfs_tool").setLevel(level)


def run() -> None:
    """Run the command line and exit with its code; an error becomes words, a bug a traceback."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)
    status: Any = 0
    try:
        status = group.main(prog_name="rootfs-tool", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        status = _exit_code(error)
        with suppress(OSError):  # nobody may be there to be told
            _tell(error)
    except SystemExit as leaving:
        status = leaving.code
    sys.exit(streams.finish(status if isinstance(status, int) else 0))


def _exit_code(error: BaseException) -> int:
    match error:
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case click.ClickException() | RootfsToolError():
            return error.exit_code
        case OSError():  # a full disk, a directory that is not ours
            return ConfigError.exit_code
        case _:
            return BUG


def _tell(error: BaseException) -> None:
    code = _exit_code(error)
    if code == BUG or (isinstance(error, RootfsToolError | OSError) and "--debug" in sys.argv):
        traceback.print_exception(error)
    match error:
        case click.ClickException():
            error.show()
        case RootfsToolError():
            _say(error)
        case OSError():
            _say(_in_words(error))
        case _ if code == BUG:  # the one place where a bug meets a person
            click.echo(
                f"error: {error!r}: this is a bug in rootfs-tool, please report it", err=True
            )
        case _:
            click.echo("interrupted", err=True)


def _in_words(error: OSError) -> ConfigError:
    """What the system refused, by the name of what it was asked for if that can be told."""
    reason = error.strerror or str(error)
    thing = error.filename2 or error.filename  # of a copy the second is what was written
    if thing is not None:
        return ConfigError(f"{os.fsdecode(thing)}: {reason}")
    if streams.stuck():
        return ConfigError(f"standard output: {reason}")
    try:
        Path.cwd()
    except FileNotFoundError:
        return ConfigError("the current directory has been removed", hint="cd to another")
    full = error.errno == errno.ENOSPC
    return ConfigError(reason, hint="df shows which disk has no room left" if full else None)


def _say(error: RootfsToolError) -> None:
    click.secho("error: ", fg="red", err=True, nl=False)
    click.echo(_plain(str(error)), err=True)
    if error.hint:
        click.echo(f" hint: {_plain(error.hint)}", err=True)
    if isinstance(error, ConsoleError) and error.tail:
        click.echo(" last lines of the board:", err=True)
        click.echo(textwrap.indent(_plain(error.tail), "  "), err=True)


def _plain(text: str) -> str:
    """An error may quote a name of whoever made an image, or what a board has said."""
    return "\n".join(map(printable, text.split("\n")))


def _unwind(number: int, _frame: FrameType | None) -> None:
    """Leave through every finally block, as Ctrl-C does, so that nothing is left behind."""
    sys.exit(128 + number)
