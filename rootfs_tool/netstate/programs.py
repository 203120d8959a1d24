"""Who has a socket: the processes of a board, and the users that they belong to."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """``name`` is the kernel's, of at most 15 characters; ``command`` all of its words."""

    pid: int
    name: str
    command: str
    user: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def users(text: str) -> dict[int, str]:
    """Lines of a user's id and name; of two names for one id the first counts (getpwuid(3))."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        number, _, name = line.partition(" ")
        with suppress(ValueError):
            found.setdefault(int(number), name)
    return found


# A process's command line, at whose end its status begins (proc(5)).
_PROCESS = re.compile(r"^(.*)Name:\t(.*)\nPid:\t(\d+)\nUid:\t\d+\t(\d+)", re.MULTILINE | re.ASCII)


def parse(held: str, said: str, named: dict[int, str]) -> dict[int, tuple[Program, ...]]:
    """Who has which socket, by its inode.

    ``held`` has a line for each that a process has open, its inode and the process's id; ``said``
    the command line of each process and the lines Name, Pid and Uid of its status.
    """
    processes = {}
    for command, name, pid, user in _PROCESS.findall(said):
        processes[int(pid)] = Program(
            pid=int(pid),
            name=_applet(name, command),
            command=command.strip(),
            user=named.get(int(user), user),
        )
    found: defaultdict[int, dict[int, Program]] = defaultdict(dict)
    for line in held.splitlines():
        with suppress(ValueError, KeyError):
            inode, pid = map(int, line.split())
            found[inode][pid] = processes[pid]
    return {inode: tuple(programs.values()) for inode, programs in found.items()}


def _applet(name: str, command: str) -> str:
    """What ``busybox httpd`` runs is httpd."""
    words = command.split()
    return words[1] if name == "busybox" and len(words) > 1 else name
