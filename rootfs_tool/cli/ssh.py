"""``rootfs-tool ssh``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rootfs_tool import sshclient
from rootfs_tool.cli.progress import progress
from rootfs_tool.recipe import find


@click.command("ssh", context_settings={"allow_interspersed_args": False})
@click.option("--user", default="root", show_default=True, help="Who logs in.")
@click.option(
    "-i",
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The private key to offer.  [default: ssh's own]",
)
@click.option("--address", metavar="HOST", help="Where the board is.  [default: as it says]")
@click.option("-t", "--terminal", is_flag=True, help="Give the command a terminal.")
@click.option("-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of ssh's.")
@click.option(
    "--print", "as_config", is_flag=True, help="Print it for `scp -F FILE` and `sftp -F FILE`."
)
@click.argument("what")
@click.argument("words", metavar="[COMMAND]…", nargs=-1)
def command(
    user: str,
    identity: Path | None,
    address: str | None,
    terminal: bool,
    options: tuple[str, ...],
    as_config: bool,
    what: str,
    words: tuple[str, ...],
) -> None:
    """Log in to the board of WHAT (a recipe.toml or an out/), or run COMMAND there.

    On a QEMU machine through the port that its `forward` leads to SSH, else at the board's own
    address. Waits for a board that is starting. Exits with the command's status; or with 7 where
    nothing answers, with 5 where the board lets nobody in.
    """
    recipe, _ = find(what)
    server = sshclient.find(recipe, address)
    if as_config:
        click.echo(sshclient.config(server, user), nl=False)
        return
    with progress(programs=sys.stderr):
        status = sshclient.run(
            server,
            words[1:] if words[:1] == ("--",) else words,
            what=what,
            user=user,
            identity=identity,
            options=options,
            terminal=terminal,
        )
    sys.exit(status)
