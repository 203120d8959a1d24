"""A connect scan: which TCP ports of a board this host can reach, and how the others say no."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

# open: taken. refused: somebody there said no. filtered: nobody said anything. unreachable: the
# way ends before the board. no way: QEMU's user network lets in only what is forwarded.
Answer = Literal["open", "refused", "filtered", "unreachable", "no way"]

_AT_ONCE = 400  # a process may have 1,024 files open
_WAIT = 1.5  # seconds; the kernel asks a second time after one (RFC 6298, 2.1)
_HOLDS = 0.4  # seconds in which QEMU, which takes every connection, learns that the board does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A TCP port of the board's, and where this host reaches it, if anywhere.

    One that is ``forwarded`` is answered by QEMU first.
    """

    port: int
    where: tuple[str, int] | None
    forwarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """``reason`` is the kernel's word for what is neither open nor plainly refused."""

    door: Door
    answer: Answer
    reason: str = ""


def scan(doors: Iterable[Door]) -> tuple[Knock, ...]:
    """Connect to each, and end the connection at once; in order of the ports."""
    from concurrent.futures import ThreadPoolExecutor  # which other verbs have no use for

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return tuple(pool.map(knock, sorted(doors, key=lambda one: one.port)))


def knock(door: Door) -> Knock:
    """Connect to one, 1.5 s at most."""
    if door.where is None:
        return Knock(door=door, answer="no way")
    try:
        with closing(socket.create_connection(door.where, timeout=_WAIT)) as there:
            if door.forwarded and _hung_up(there):
                return Knock(door=door, answer="refused")
            return Knock(door=door, answer="open")
    except TimeoutError:
        return Knock(door=door, answer="filtered")
    except OSError as error:
        return _refusal(door, error)


def _hung_up(there: socket.socket) -> bool:
    there.settimeout(_HOLDS)
    try:
        return not there.recv(1)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def _refusal(door: Door, error: OSError) -> Knock:
    if error.errno == errno.ECONNREFUSED:
        return Knock(door=door, answer="refused")
    number = error.errno or 0
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        return Knock(door=door, answer="unreachable", reason=os.strerror(number))
    return Knock(door=door, answer="filtered", reason=os.strerror(number))
