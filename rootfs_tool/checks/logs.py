"""The last lines of the board's logs, for whoever asks why something does not run."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell

SYSTEM = "/var/log/messages"
LINES = 10


def of_service(shell: Shell, name: str) -> str:
    """What a service wrote last to its log, and to the system's by its or its program's name."""
    own = f"/var/log/{name}.log"
    # A program logs under its own name: the S-script says which that is.
    runs = f"s/^# Runs the service {name}: .*\\///p"
    return shell.run(
        f'said() {{ [ -z "$2" ] || printf \'%s:\\n%s\\n\' "$1" "$2"; }}\n'
        f'said {quote(own)} "$(tail -n {LINES} {quote(own)} 2>/dev/null)"\n'
        f"program=$(sed -n {quote(runs)} /etc/init.d/S[0-9][0-9]{name} 2>/dev/null)\n"
        f'said {SYSTEM} "$(grep -F -e {quote(name)} ${{program:+-e " $program["}} '
        f'{SYSTEM} 2>/dev/null | tail -n {LINES})"'
    ).text.rstrip()


def of_system(shell: Shell, file: str = SYSTEM) -> str:
    """The last lines of a log."""
    return shell.run(f"tail -n {LINES} {quote(file)} 2>/dev/null").text.rstrip()
