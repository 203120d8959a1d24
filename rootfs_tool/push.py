"""rootfs-tool push: files to a board, by its network where it has one, else over the line."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rootfs_tool import elf
from rootfs_tool.arch import Arch
from rootfs_tool.carrier import Carrier, Over, check_names
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import note, step
from rootfs_tool.shell import Shell
from rootfs_tool.transfer import Sent, put


def push(
    shell: Shell, files: Sequence[Path], to: str, *, over: Over, flow_control: bool
) -> list[Sent]:
    """Send ``files`` to ``to`` on the board, a directory if there are several.

    Raises ConfigError, before anything is sent when a file is not there or two have one name, and
    ConsoleError.
    """
    for file in files:
        if not file.is_file():
            if not file.exists():
                raise ConfigError(f"{file} is not there", hint="is the path right?")
            raise ConfigError(
                f"{file} is not a regular file", hint="tar packs a directory into a file"
            )
    check_names([file.name for file in files])
    place = to if len(files) == 1 else f"{to.rstrip('/')}/"
    carrier = Carrier(shell, over)
    sent = []
    for file in files:
        _warn(shell, file)
        with step(f"push {file.name} to {to}"):
            leads = carrier.leads(file.stat().st_size)
            network = partial(carrier.to_board, file) if leads else None
            done = put(shell, file, place, flow_control=flow_control, network=network)
            sent.append(done)
            note(_words(done))
    return sent


def _words(done: Sent) -> str:
    if done.packing == "there":
        return f"{done.path} was there already, as {done.tool} says"
    how = {"plain": "", "tftp": " by TFTP"}.get(done.packing, f" packed by {done.packing}")
    return f"{done.path}: {done.size:,} bytes{how}, whole as {done.tool} says"


def _warn(shell: Shell, file: Path) -> None:
    """Say before it is sent that a program will not run there."""
    mode = file.stat().st_mode
    with file.open("rb") as opened:
        if opened.read(4) != b"\x7fELF" or not mode & stat.S_IXUSR or ".so" in file.name:
            return
    machine = shell.run("uname -m").text.strip()
    if machine not in list(Arch):
        return
    try:
        elf.check(file, Arch(machine))
    except ConfigError as error:
        note(str(error))
