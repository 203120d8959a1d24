"""``rootfs-tool reset``."""

from __future__ import annotations

from contextlib import closing

import click

from rootfs_tool.cli.line import BOOT, ask_password, line_options, resolve
from rootfs_tool.cli.progress import progress
from rootfs_tool.console import connect
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import step
from rootfs_tool.reset import IN_WORDS, Way, reset
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed

NO_POWER = '[target.power] below type = "attached" in a recipe.toml does: --board recipe.toml'


@click.command("reset")
@line_options
@click.option("--power", "way", flag_value=Way.POWER, help="By the power commands of --board.")
@click.option("--sysrq", "way", flag_value=Way.SYSRQ, help="By a break and SysRq s, u, b.")
@click.option(
    "--reboot", "way", flag_value=Way.REBOOT, help="By `reboot` in its shell, or U-Boot's `reset`."
)
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), help="Seconds for a sign.  [default: 10 or 60]"
)
@click.option("--wait", is_flag=True, help="Return when the board has a shell again.")
def command(
    console: str | None,
    board: str | None,
    baudrate: int | None,
    way: str | None,
    timeout: float | None,
    wait: bool,
) -> None:
    """Start the board at the console anew, and see that it does.

    By its power if --board is a recipe.toml that tells how; else by SysRq over a break on the
    line; and if that shows no sign of it, by `reboot` in its shell or `reset` in U-Boot. Exits 7
    when nothing does.
    """
    where = resolve(console, board, baudrate)
    power = where.target.power
    if way == Way.POWER and power is None:
        raise ConfigError("nothing is said of the board's power", hint=NO_POWER)
    with progress(), closing(connect(where.url, where.line)) as line:
        allowed = Allowed(ask_password=ask_password())
        done = reset(
            line,
            where.line,
            power=power,
            way=Way(way) if way else None,
            timeout=timeout,
            allowed=allowed,
        )
        if wait:
            with step("boot and log in"):
                Shell.attach(line, where.line, timeout=BOOT, allowed=allowed).leave()
    click.echo(f"restarted by {IN_WORDS[done.way]} in {done.seconds:.1f} s: {done.said}")
