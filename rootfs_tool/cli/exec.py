"""``rootfs-tool exec``."""

from __future__ import annotations

import json
import math
import os
import re
import select
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from shlex import quote
from typing import IO

import click

from rootfs_tool.cli.line import attached_shell, line_options, resolve
from rootfs_tool.cli.progress import progress
from rootfs_tool.printable import printable
from rootfs_tool.shell import Result, Shell

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of a variable of the environment (POSIX, 8.1)
_IMPATIENT = 1.0  # seconds after which we say that we wait for the end of stdin


@click.command("exec", context_settings={"allow_interspersed_args": False})
@line_options
@click.option("--timeout", type=click.FloatRange(min=0.1), help="Seconds until it is killed.")
@click.option("--env", "variables", multiple=True, metavar="K=V", help="Set a variable for it.")
@click.option("--directory", metavar="DIR", help="Run it in this directory of the board.")
@click.option(
    "--stdin",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Its stdin.  [default: ours, whole, if that is no terminal]",
)
@click.option("--background", metavar="LOG", help="Leave it running, its output in this file.")
@click.option("--recover", is_flag=True, help="Restart a board that hangs, by BREAK and SysRq.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, when it ended.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the kernel says, and notes.")
@click.argument("words", metavar="COMMAND…", nargs=-1, required=True)
def command(
    console: str | None,
    board: str | None,
    baudrate: int | None,
    timeout: float | None,
    variables: tuple[str, ...],
    directory: str | None,
    source: Path | None,
    background: str | None,
    recover: bool,
    as_json: bool,
    verbose: bool,
    words: tuple[str, ...],
) -> None:
    """Run COMMAND in the board's shell; its stdin, stdout, stderr and status are as if run here.

    Its words are joined by spaces, as ssh does. Exits with its status; or with 7, and `error:` on
    stderr, when the console was in trouble or the time was up.
    """
    where = resolve(console, board, baudrate)
    environment = dict(_variable(one) for one in variables)
    text = " ".join(words)
    if background is not None:
        if source is not None:
            raise click.UsageError("a program in the background has no stdin")
        text = _left_running(text, background)
    read = b"" if background is not None else _stdin(source)
    with progress(programs=sys.stderr) if verbose else nullcontext():
        with attached_shell(where, recover=recover) as shell:
            result = shell.run(
                text,
                timeout=timeout or math.inf,
                apart=True,
                stdin=_given(shell, read),
                environment=environment,
                directory=directory,
                on_output=None if as_json else _passes_to(sys.stdout.buffer),
                on_error=None if as_json else _passes_to(sys.stderr.buffer),
            )
        if verbose:
            for message in shell.kernel_log:
                click.echo(f"kernel: {printable(message)}", err=True)
    if as_json:
        click.echo(_as_json(result))
    sys.exit(result.status)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
    return name, value


def _stdin(source: Path | None) -> bytes | Path:
    """What the command gets to read: a file as it is, or all of our own stdin."""
    if source is not None and source != Path("-"):
        return source
    if source is None and (sys.stdin is None or sys.stdin.isatty()):
        return b""
    ours, said = sys.stdin.fileno(), bytearray()
    if not select.select([ours], [], [], _IMPATIENT)[0]:
        click.echo("reading stdin to its end first; --stdin /dev/null if it wants none", err=True)
    while some := os.read(ours, 1 << 16):
        said += some
    return bytes(said)


def _given(shell: Shell, read: bytes | Path) -> str:
    """The file on the board that holds it, until we leave."""
    if not read:
        return "/dev/null"
    from rootfs_tool.transfer import put  # not needed by most commands

    path = shell.scratch("stdin")
    put(shell, read, path)
    return path


def _left_running(command: str, log: str) -> str:
    """``command`` in a session of its own, which neither our going nor Ctrl-C ends."""
    return (
        f": >{quote(log)} || exit\n"
        f"setsid sh -c {quote(command)} </dev/null >{quote(log)} 2>&1 &\n"
        "echo $!"
    )


def _passes_to(stream: IO[bytes]) -> Callable[[bytes], None]:
    def passes(data: bytes) -> None:
        stream.write(data)
        stream.flush()

    return passes


def _as_json(result: Result) -> str:
    """Bytes that are not UTF-8 become lone surrogates, as Python's surrogateescape has them."""
    return json.dumps(
        {
            "status": result.status,
            "seconds": round(result.seconds, 3),
            "stdout": result.output.decode(errors="surrogateescape"),
            "stderr": result.errors.decode(errors="surrogateescape"),
        }
    )
