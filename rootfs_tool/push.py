"""rootfs-tool push: files to a board, by its network where it has one, else over the line."""

from __future__ import annotations

import re
import secrets
import socket
import stat
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from shlex import quote
from typing import Literal

from rootfs_tool import elf, tftp
from rootfs_tool.arch import Arch
from rootfs_tool.checks.fetch import BLOCK_SIZES, PATIENCE, SLOWEST
from rootfs_tool.errors import ConfigError, ConsoleError
from rootfs_tool.events import note, step
from rootfs_tool.shell import Shell
from rootfs_tool.transfer import Sent, put

Over = Literal["auto", "tftp", "line"]

_WORTH = 65536  # bytes; a smaller file has passed the line before the network is found out about
_TRY = 3  # seconds for a file of a few bytes


def push(
    shell: Shell, files: Sequence[Path], to: str, *, over: Over, flow_control: bool
) -> list[Sent]:
    """Send ``files`` to ``to`` on the board, a directory if there are several.

    Raises ConfigError, before anything is sent when a file is not there, and ConsoleError.
    """
    for file in files:
        if not file.is_file():
            what = "is not a regular file" if file.exists() else "is not there"
            raise ConfigError(f"{file} {what}", hint="tar packs a directory into a file")
    place = to if len(files) == 1 else f"{to.rstrip('/')}/"
    sent = []
    for file in files:
        _warn(shell, file)
        with step(f"push {file.name} to {to}"):
            network = None
            if over == "tftp" or (over == "auto" and file.stat().st_size >= _WORTH):
                network = _by_network(shell, file, must=over == "tftp")
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


def _by_network(shell: Shell, file: Path, *, must: bool) -> Callable[[str], bool] | None:
    """What has the board fetch ``file`` to a path of its own; None where no network leads here.

    ``must`` makes that a ConsoleError.
    """
    said = shell.run("type tftp && echo has tftp; ip -4 -o addr || ifconfig").text
    found = re.findall(r"\binet (?:addr:)?(\d+\.\d+\.\d+\.\d+)", said)
    boards = [address for address in found if not address.startswith("127.")]
    for ours in dict.fromkeys(filter(None, map(_our_address, boards))):
        if "has tftp" in said and _reached(shell, ours):
            return lambda part: _fetched(shell, file, ours, part)
    if must:
        raise ConsoleError(
            "the board does not reach a TFTP server of this host",
            hint=f"its addresses: {', '.join(boards) or 'none'}; does a firewall here let UDP in, "
            "and has its BusyBox tftp? --over line needs neither",
        )
    return None


def _our_address(board: str) -> str | None:
    """The address that this host would speak to ``board`` from (udp(7), connect)."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((board, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _reached(shell: Shell, ours: str) -> bool:
    word = secrets.token_hex(8)
    with tftp.serve({word: word.encode()}, ours) as server:
        get = f"tftp -g -l - -r {word} {ours} {server.port}"
        return word in shell.run(f"timeout {_TRY} {get} 2>/dev/null").text


def _fetched(shell: Shell, file: Path, ours: str, part: str) -> bool:
    name = secrets.token_hex(8)
    seconds = PATIENCE + file.stat().st_size / SLOWEST
    with tftp.serve({name: file}, ours) as server:
        for size in BLOCK_SIZES:
            get = f"tftp -g -b {size} -l {quote(part)} -r {name} {ours} {server.port}"
            result = shell.run(f"timeout {seconds:.0f} {get} 2>/dev/null", timeout=seconds + 10)
            if result.status == 0:
                return True
    return False
