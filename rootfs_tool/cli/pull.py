"""``rootfs-tool pull``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rootfs_tool.carrier import Over
from rootfs_tool.cli.line import attached_shell, line_options, over_option, resolve
from rootfs_tool.cli.progress import progress
from rootfs_tool.errors import ConfigError
from rootfs_tool.pull import pull


@click.command("pull")
@line_options
@over_option
@click.argument("words", metavar="FILE... [DEST]", nargs=-1, required=True)
def command(
    console: str | None,
    board: str | None,
    baudrate: int | None,
    over: Over,
    words: tuple[str, ...],
) -> None:
    """Fetch files from the board: to DEST, or to here where only one word is given.

    Several files need a DEST that is a directory. Prints the path of each on this host. What broke
    off goes on from there the next time.
    """
    where = resolve(console, board, baudrate)
    *names, last = words if len(words) > 1 else (words[0], ".")
    to = Path(last)
    if len(names) > 1 and not to.is_dir():
        raise ConfigError(f"{to} is not a directory", hint="the last word says where they go")
    with progress(programs=sys.stderr), attached_shell(where) as shell:
        flow_control = where.line.flow_control == "xonxoff"
        for got in pull(shell, names, to, over=over, flow_control=flow_control):
            click.echo(got.path)
