"""Why a board does not take or give a file, in words."""

from __future__ import annotations

from enum import IntEnum
from shlex import quote

from rootfs_tool.errors import ConfigError, ConsoleError, RootfsToolError


class Refusal(IntEnum):
    """The exit status of a script on the board that can't go on."""

    FULL = 40
    REFUSED = 41
    DIRECTORY = 42
    MISSING = 43
    SPECIAL = 44
    DAMAGED = 45
    CHANGED = 46


def refused(
    status: int,
    place: str,
    said: str,
    *,
    needed: int = 0,
    free: int | None = None,
    reading: bool = False,
) -> RootfsToolError:
    """The error for a script that ended with ``status``; ``said`` is what it printed.

    ``reading`` is whether it was to give the file, and not to take one.
    """
    there = f": {needed:,} bytes, {free:,} are free" if free is not None else ""
    reason = said.strip().rpartition("\n")[2].rpartition(": ")[2]
    match status:
        case Refusal.FULL:
            return ConsoleError(
                f"the board has no room for {place}{there}",
                hint="df on the board shows what is full; another directory may have room",
            )
        case Refusal.MISSING if reading:
            return ConfigError(
                f"the board has no {place}", hint=f"rootfs-tool exec -- ls -la {_directory(place)}"
            )
        case Refusal.REFUSED if reading:
            return ConsoleError(
                f"the board cannot read {place}: {reason or 'no reason given'}",
                hint=f"may this user? rootfs-tool exec -- ls -la {_directory(place)}",
            )
        case Refusal.REFUSED:
            return ConsoleError(
                f"the board cannot write {place}: {reason or 'no reason given'}",
                hint="is it mounted read-only (mount -o remount,rw), and is the user allowed to?",
            )
        case Refusal.DIRECTORY:
            return ConfigError(f"{place} is a directory on the board")
        case Refusal.MISSING:
            return ConfigError(
                f"the board has no {place}", hint="is the path right? mkdir -p makes a directory"
            )
        case Refusal.SPECIAL:
            return ConfigError(f"{place} is not a regular file on the board")
        case Refusal.DAMAGED:
            return ConsoleError(
                f"{place} did not arrive whole: its digest on the board is not that of the file",
                hint="it is removed there; once more, and if it stays so, suspect its memory",
            )
        case Refusal.CHANGED:
            return ConsoleError(
                f"{place} changed while it was read",
                hint="pull a copy of it, or stop what writes to it",
            )
        case _:
            return ConsoleError(
                f"the board broke off the transfer of {place} (status {status})",
                hint="once more: it goes on from where it is",
            )


def _directory(path: str) -> str:
    """The directory that a file of the board is in, as a word for its shell."""
    return quote(path.rstrip("/").rpartition("/")[0] or ("/" if path.startswith("/") else "."))
