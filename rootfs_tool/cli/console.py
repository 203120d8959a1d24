"""``rootfs-tool console``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from rootfs_tool.cli.line import Where, line_options, resolve
from rootfs_tool.console import connect, share
from rootfs_tool.console.transcript import TimeFormat
from rootfs_tool.terminal.pace import Delays
from rootfs_tool.terminal.session import Session
from rootfs_tool.terminal.settings import Settings

FORMATS = click.Choice(get_args(TimeFormat))
_UNTIMED = ("socket:", "exec:", "pty")  # what is at the other end of these has a rate, if any

_milliseconds = click.FloatRange(min=0)


@click.command("console")
@line_options
@click.option(
    "--timestamp",
    type=FORMATS,
    is_flag=False,
    flag_value="24h",
    metavar="[FORMAT]",
    help=f"Begin each line with its time: {', '.join(FORMATS.choices)}.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add all that the board says to this file.",
)
@click.option("--log-strip", is_flag=True, help="Keep escape sequences and controls out of it.")
@click.option(
    "--send",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Send this file first.",
)
@click.option("--hex", "hexadecimal", is_flag=True, help="Show each byte as two digits.")
@click.option("--echo", is_flag=True, help="Show what is typed too.")
@click.option(
    "--character-delay",
    type=_milliseconds,
    default=0,
    metavar="MS",
    help="Of what is pasted or sent: wait after each character, not for its echo.",
)
@click.option(
    "--line-delay", type=_milliseconds, default=0, metavar="MS", help="The same after each line."
)
def command(
    console: str | None,
    board: str | None,
    baudrate: int | None,
    timestamp: TimeFormat | None,
    log: Path | None,
    log_strip: bool,
    send: Path | None,
    hexadecimal: bool,
    echo: bool,
    character_delay: float,
    line_delay: float,
) -> None:
    """Your terminal on a board's console; Ctrl-T ? lists the keys, Ctrl-T q leaves.

    What is pasted, or sent from a file, goes no faster than the board echoes it. What is piped in
    is sent so too, and then the board has its say until it is silent for a second.
    """
    where = resolve(console, board, baudrate)
    settings = Settings(
        name=in_words(where),
        baudrate=where.line.baudrate,
        log=log,
        log_strip=log_strip,
        stamp=timestamp,
        hexadecimal=hexadecimal,
        echo=echo,
        send=send,
        delays=Delays(character=character_delay / 1000, line=line_delay / 1000),
    )
    power = where.target.power
    session = Session(settings, ask=_ask, reset=power.restart if power else None)
    session.run(lambda: share.offer(connect(where.url, where.line), where.url))


def in_words(where: Where) -> str:
    """The console's address, and its rate where that is set here."""
    if where.url.startswith(_UNTIMED):
        return where.url
    return f"{where.url} at {where.line.baudrate} baud"


def _ask(question: str) -> str:
    """A line from a person, who may complete names of files with Tab; Ctrl-C is no answer."""
    import readline  # it looks at the terminal as soon as it is imported

    readline.parse_and_bind("tab: complete")
    return input(question).strip()
