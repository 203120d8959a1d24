"""The streams that a program is started with: all there at its start, all written at its end."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself is what --help would wait for
if TYPE_CHECKING:
    from typing import TextIO

GONE = 141  # as a shell says it of a program that SIGPIPE ended: 128 + 13
LOST = 2


def ready() -> None:
    """Open /dev/null in the place of those that whoever started us has closed.

    Otherwise a file that is opened next would be standard output to the programs that we start.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            os.set_inheritable(number, True)  # dup2 does so only if it had another number
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def gone() -> bool:
    """Whether whoever read standard output or error has gone.

    A pipe has POLLERR then, and a socket POLLHUP, which need not be asked for (poll(2)).
    """
    import select

    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return bool(poll.poll(0))


def stuck() -> OSError | None:
    """Why standard output takes nothing, if so; what is left to be written there is dropped."""
    return _stuck(sys.stdout)


def say(text: str) -> int:
    """Write a text to standard output, and return the exit code of a program that did no more."""
    try:
        sys.stdout.write(text)
    except OSError as error:
        return _lost(error)
    return finish(0)


def finish(status: int) -> int:
    """Write what is left to write, and return the exit code: ``status``, unless output was lost."""
    error = stuck()
    if error is not None:
        status = status or _lost(error)
    _stuck(sys.stderr)
    return status


def _lost(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        return GONE
    try:
        sys.stderr.write(f"error: standard output: {error.strerror}\n")
    except OSError:
        return LOST  # and nobody can be told
    return LOST


def _stuck(stream: TextIO) -> OSError | None:
    try:
        stream.flush()
    except OSError as error:
        # The interpreter tries once more when it ends, and would exit with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
