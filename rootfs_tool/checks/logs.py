"""The last lines of the board's logs, for whoever asks why something does not run."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell

SYSTEM = "/var/log/messages"
LINES = 10


def of_service(shell: Shell, name: str) -> str:
    """What a service wrote last to its own log and to the system's, under the name of each."""
    own = f"/var/log/{name}.log"
    return shell.run(
        f'said() {{ [ -z "$2" ] || printf \'%s:\\n%s\\n\' "$1" "$2"; }}\n'
        f'said {quote(own)} "$(tail -n {LINES} {quote(own)} 2>/dev/null)"\n'
        f'said {SYSTEM} "$(grep -F -e {quote(name)} {SYSTEM} 2>/dev/null | tail -n {LINES})"'
    ).text.rstrip()


def of_system(shell: Shell, file: str = SYSTEM) -> str:
    """The last lines of a log."""
    return shell.run(f"tail -n {LINES} {quote(file)} 2>/dev/null").text.rstrip()
