"""Files between this host and a board by TFTP, where the board's network leads here."""

from __future__ import annotations

import re
import secrets
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Literal

from rootfs_tool import tftp
from rootfs_tool.checks.fetch import BLOCK_SIZES, PATIENCE, SLOWEST
from rootfs_tool.errors import ConfigError, ConsoleError
from rootfs_tool.events import note
from rootfs_tool.shell import Shell

Over = Literal["auto", "tftp", "line"]

_WORTH = 65536  # bytes; a smaller file has passed the line before the network is found out about
_TRY = 3  # seconds for a file of a few bytes


def check_names(names: Sequence[str]) -> None:
    """Raise ConfigError when two files of those ``names`` would become one."""
    for name, times in Counter(names).items():
        if times > 1:
            raise ConfigError(
                f"{times} files are called {name}: the last would replace the others",
                hint="one at a time, each with a DEST of its own",
            )


class Carrier:
    """``over`` says what may be tried: "auto" is for what is large, "line" for nothing.

    With "tftp" a board that does not reach this host is a ConsoleError.
    """

    def __init__(self, shell: Shell, over: Over) -> None:
        self._shell = shell
        self._over = over

    def leads(self, size: int) -> bool:
        """Whether a file of ``size`` bytes is to go by the network, and one leads here.

        Raises ConsoleError.
        """
        if self._over == "line" or (self._over == "auto" and size < _WORTH):
            return False
        return bool(self._ours)

    def to_board(self, file: Path, to: str) -> bool:
        """Have the board fetch ``file`` to its path ``to``; False when it could not.

        Raises ConsoleError if there is no other way.
        """
        size = file.stat().st_size
        name = secrets.token_hex(8)
        with tftp.serve({name: file}, self._ours) as server:
            return self._transfer(f"-g -l {quote(to)} -r {name}", size, server)

    def from_board(self, path: str, size: int, to: Path) -> bool:
        """Have the board send ``path``, of ``size`` bytes, to ``to``; the rest as `to_board`."""
        if not self.leads(size):
            return False
        name = secrets.token_hex(8)
        with tftp.serve({}, self._ours, accepts={name: to}) as server:
            return self._transfer(f"-p -l {quote(path)} -r {name}", size, server)

    def _transfer(self, files: str, size: int, server: tftp.Server) -> bool:
        seconds, reason = PATIENCE + size / SLOWEST, ""
        for block in BLOCK_SIZES:
            command = f"tftp -b {block} {files} {server.address} {server.port} 2>&1"
            ran = self._shell.run(f"timeout {seconds:.0f} {command}", timeout=seconds + 10)
            if ran.status == 0:
                return True
            said = ran.text.replace("\r", "\n").strip().rpartition("\n")[2]
            reason = said or f"the board's tftp ended with status {ran.status}"
        if self._over == "tftp":
            raise ConsoleError(
                f"TFTP did not bring it: {reason}", hint="--over line takes the serial line"
            )
        note(f"TFTP did not bring it: {reason}; it goes over the line")
        return False

    @cached_property
    def _ours(self) -> str:
        """The address of this host that the board reaches; "" where there is none."""
        said = self._shell.run("type tftp && echo has tftp; ip -4 -o addr || ifconfig").text
        found = re.findall(r"\binet (?:addr:)?(\d+\.\d+\.\d+\.\d+)", said)
        boards = [address for address in found if not address.startswith("127.")]
        for ours in dict.fromkeys(filter(None, map(_towards, boards))):
            if "has tftp" in said and self._reached(ours):
                return ours
        if self._over == "tftp":
            raise ConsoleError(
                "the board does not reach a TFTP server of this host",
                hint=f"its addresses: {', '.join(boards) or 'none'}; does a firewall here let UDP "
                "in, and has its BusyBox tftp? --over line needs neither",
            )
        return ""

    def _reached(self, ours: str) -> bool:
        word = secrets.token_hex(8)
        with tftp.serve({word: word.encode()}, ours) as server:
            get = f"tftp -g -l - -r {word} {ours} {server.port}"
            return word in self._shell.run(f"timeout {_TRY} {get} 2>/dev/null").text


def _towards(board: str) -> str | None:
    """The address that this host would speak to ``board`` from (udp(7), connect)."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((board, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])
