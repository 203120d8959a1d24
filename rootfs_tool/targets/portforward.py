"""Ports of this host's loopback that lead to ports of a machine: "HOST:BOARD", TCP."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

from rootfs_tool import sockets
from rootfs_tool.errors import ConfigError
from rootfs_tool.model import AtOnce, Matching

BIND = "127.0.0.1"
LARGEST = 65535
_FORM = r"[0-9]{1,5}(:[0-9]{1,5})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """``host`` is a port of this host's, ``board`` the one of the board's that it leads to."""

    host: int
    board: int


def parse(text: str) -> Forward:
    """A forward as a person writes it: "10022:22", or "9000" for the same port on both sides."""
    host, _, board = text.partition(":")
    return Forward(host=int(host), board=int(board or host))


def _mistakes(rows: Sequence[Any]) -> Iterator[tuple[tuple[int], str]]:
    """Ports that there are not, and ports of this host's that would lead to two places."""
    taken: dict[int, str] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, str) or re.fullmatch(_FORM, row) is None:
            continue
        one = parse(row)
        wrong = next((port for port in (one.host, one.board) if not 1 <= port <= LARGEST), None)
        if wrong is not None:
            yield (index,), f'"{row}": a port is 1 to {LARGEST}, not {wrong}'
        elif one.host in taken:
            yield (index,), f'"{row}": port {one.host} of this host has "{taken[one.host]}" already'
        taken.setdefault(one.host, row)


Forwards = Annotated[
    tuple[
        Annotated[str, Matching(_FORM, 'a port, or HOST:BOARD, such as "9000" or "10022:22"')], ...
    ],
    AtOnce(_mistakes),
]


def check(forwards: Sequence[Forward]) -> None:
    """See that this host's ports are free. Raises ConfigError that names who has one."""
    for forward in forwards:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            # As QEMU opens it: connections of an earlier machine that linger are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((BIND, forward.host))
                probe.listen(1)
            except OSError as error:
                raise _explain(error, forward) from None


def _explain(error: OSError, forward: Forward) -> ConfigError:
    host, board = forward.host, forward.board
    other = f'forward = ["{min(host + 10_000, LARGEST)}:{board}"]'
    if error.errno == errno.EADDRINUSE:
        who = sockets.holder(host)
        by = f"taken by {who}" if who else "taken by another program"
        return ConfigError(
            f"TCP port {host} of {BIND}, which leads to the board's {board}, is {by}",
            hint=f"end that program, or take another port in the recipe: {other}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"this user may not open TCP port {host}, which leads to the board's {board}",
            hint=f"take one from 1024 on: {other}; "
            f"or: sysctl net.ipv4.ip_unprivileged_port_start={host}",
        )
    return ConfigError(f"TCP port {host} of {BIND} can't be opened: {error.strerror}")
