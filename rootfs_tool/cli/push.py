"""``rootfs-tool push``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from rootfs_tool.carrier import Over
from rootfs_tool.cli.line import (
    LOGIN,
    Where,
    attached_shell,
    line_options,
    over_option,
    resolve,
)
from rootfs_tool.cli.progress import progress
from rootfs_tool.console import connect
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import note, step
from rootfs_tool.push import push
from rootfs_tool.shell.uboot import UBoot

TO = "/tmp"


@click.command("push")
@line_options
@over_option
@click.option(
    "--to-uboot",
    metavar="ADDRESS",
    help="Load one file into memory from U-Boot's prompt, such as 0x40400000.",
)
@click.option(
    "--uboot-baudrate",
    type=click.IntRange(9600, 4_000_000),
    help="Bits per second while U-Boot loads it.",
)
@click.argument("words", metavar="FILE... [DEST]", nargs=-1, required=True)
def command(
    console: str | None,
    board: str | None,
    baudrate: int | None,
    over: Over,
    to_uboot: str | None,
    uboot_baudrate: int | None,
    words: tuple[str, ...],
) -> None:
    """Send files to the board: to DEST, or to /tmp where only one word is given.

    Several files need a DEST that is a directory. Prints the path of each on the board. What broke
    off goes on from there the next time.
    """
    where = resolve(console, board, baudrate)
    if to_uboot is not None:
        if len(words) != 1:
            raise ConfigError("--to-uboot loads one file", hint="and its address is no DEST")
        with progress(programs=sys.stderr):
            _load(where, Path(words[0]), to_uboot, uboot_baudrate)
        return
    *names, to = words if len(words) > 1 else (words[0], TO)
    with progress(programs=sys.stderr), attached_shell(where) as shell:
        flow_control = where.line.flow_control == "xonxoff"
        for sent in push(
            shell, [Path(name) for name in names], to, over=over, flow_control=flow_control
        ):
            click.echo(sent.path)


def _load(where: Where, file: Path, address: str, baudrate: int | None) -> None:
    try:
        at = int(address, 16)
    except ValueError:
        raise ConfigError(f"{address} is no address", hint="0x40400000 is one") from None
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    with closing(connect(where.url, where.line)) as console:
        uboot = UBoot.attach(console, where.line, timeout=LOGIN)
        with step(f"load {file.name} to {at:#x}"):
            uboot.load(data, at, baudrate=baudrate)
            note(f"{at:#x}: {len(data):,} bytes, whole as U-Boot's crc32 says")
