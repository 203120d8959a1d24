"""``rootfs-tool log``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import BinaryIO

import click

from rootfs_tool.cli.console import FORMATS, in_words
from rootfs_tool.cli.line import line_options, resolve
from rootfs_tool.cli.progress import progress
from rootfs_tool.console import connect, share
from rootfs_tool.console.transcript import TimeFormat
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import note
from rootfs_tool.shell import disaster
from rootfs_tool.shell.incident import Watcher
from rootfs_tool.terminal.capture import JsonLines, TextLines, capture


@click.command("log")
@line_options
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add the lines to this file, not to stdout.",
)
@click.option("--seconds", type=click.FloatRange(min=0), help="End after that long.")
@click.option("--until", metavar="REGEX", help="End when this is in a line.")
@click.option(
    "--timestamp",
    type=FORMATS,
    default="24h",
    show_default=True,
    help="What each line begins with.",
)
@click.option("--json", "as_json", is_flag=True, help="Write each line as a JSON object.")
def command(
    console: str | None,
    board: str | None,
    baudrate: int | None,
    output: Path | None,
    seconds: float | None,
    until: str | None,
    timestamp: TimeFormat,
    as_json: bool,
) -> None:
    """Keep what a board says, each line with its time; nothing is sent to it.

    Control characters are shown escaped. Every line is in the file as soon as it has come. Ctrl-C
    ends it, with status 0; --until that has not come when --seconds are over exits 7.
    """
    pattern = _compiled(until)
    where = resolve(console, board, baudrate)
    with progress(programs=sys.stderr), ExitStack() as stack, suppress(KeyboardInterrupt):
        file: BinaryIO = sys.stdout.buffer
        if output is not None:
            file = stack.enter_context(output.open("ab", buffering=0))
        shared = share.offer(connect(where.url, where.line), where.url)
        opened = stack.enter_context(closing(shared))
        click.echo(f"listening to {in_words(where)}; Ctrl-C ends it", err=True)
        keeper = JsonLines(file) if as_json else TextLines(file, timestamp)
        capture(opened, keeper, watch=_telling(Watcher()), seconds=seconds, until=pattern)


def _telling(watcher: Watcher) -> Callable[[bytes], None]:
    """What notes each incident that is in what it gets."""

    def watch(data: bytes) -> None:
        for incident in watcher.feed(data):
            note(disaster.said(incident))

    return watch


def _compiled(until: str | None) -> re.Pattern[str] | None:
    try:
        return None if until is None else re.compile(until)
    except re.error as error:
        raise ConfigError(
            f"--until {until!r}: {error}", hint="it is a regular expression"
        ) from None
