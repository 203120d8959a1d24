"""The click group: finds a command's module when it is called, and turns errors into exit codes."""

from __future__ import annotations

import difflib
import gc
import importlib
import logging
import signal
import sys
import textwrap
import traceback
from types import FrameType
from typing import Any

import click

from rootfs_tool import __version__
from rootfs_tool.cli import COMMANDS, help_text
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

    def get_help(self, ctx: click.Context) -> str:
        return help_text().rstrip("\n")


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
    debug = "--debug" in sys.argv
    try:
        status: Any = group.main(prog_name="rootfs-tool", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = INTERRUPTED
    except RootfsToolError as error:
        if debug:
            traceback.print_exc()
        _say(error)
        status = error.exit_code
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output has gone, and so must its last flush
        status = 1
    except OSError as error:  # a full disk, a directory that is not ours
        if debug:
            traceback.print_exc()
        click.echo(f"error: {': '.join(filter(None, (error.filename, error.strerror)))}", err=True)
        status = ConfigError.exit_code
    except Exception as error:  # the one place where a bug meets a person
        traceback.print_exc()
        click.echo(f"error: {error!r}: this is a bug in rootfs-tool, please report it", err=True)
        status = BUG
    sys.exit(status if isinstance(status, int) else 0)


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
