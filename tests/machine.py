"""A machine for a console: a shell that dies with its power, and starts again when that is back.

``machine.py DIRECTORY [ARGUMENTS]`` in the place of a board is on while DIRECTORY/on exists; what
is on already runs sh with those arguments. ``relay`` and ``reboot`` there are what switches it from
outside, and from inside. No other program that could reboot a host is on its PATH.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import time
import tty
from pathlib import Path
from shlex import join

PROGRAMS = ("cat", "dd", "md5sum", "rm", "setsid", "sh", "sleep", "stty", "tail", "touch")
BOOT = b"\r\nU-Boot 2025.01 (Jan 06 2025)\r\n[    0.000000] Booting Linux on physical CPU 0x0\r\n"
RELAY = """\
#!/bin/sh
cd "${0%/*}" || exit
until [ -e there ]; do sleep 0.01; done
echo "$1" >>switched
case $1 in
    on) touch on ;;
    off) rm -f on ;;
    stuck) echo 'the relay is stuck' >&2; exit 3 ;;
esac
"""
REBOOT = "#!/bin/sh\nprintf 'reboot: Restarting system\\r\\n'; kill -KILL $PPID\n"


def build(directory: Path, *, on: bool = True, runs: str | None = None) -> str:
    """The command line of a machine whose relay is ``directory``/relay; ``runs`` is a script."""
    directory.mkdir()
    for name, text in (("relay", RELAY), ("reboot", REBOOT)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    for name in PROGRAMS:
        (directory / name).symlink_to(shutil.which(name) or name)
    if on:
        (directory / "on").touch()
    return join([sys.executable, __file__, str(directory), *(["-c", runs] if runs else [])])


def main(directory: Path, first: list[str]) -> None:
    tty.setraw(0)
    os.environ["PATH"] = str(directory)
    says = b"" if (directory / "on").exists() else BOOT  # it may have been up for a week
    while True:
        while not (directory / "on").exists():
            (directory / "there").touch()
            time.sleep(0.01)
        os.write(1, says)
        shell, terminal = pty.fork()
        if shell == 0:
            os.execvp("sh", ["sh", "-i"] if says else ["sh", *first])
        _run(terminal, directory / "on")
        os.kill(shell, 9)
        os.waitpid(shell, 0)
        os.close(terminal)
        says = BOOT


def _run(terminal: int, on: Path) -> None:
    """Be the serial line of what runs, until that ends or its power is gone."""
    since = _since(on)
    (on.parent / "there").touch()  # from now on it is seen when that changes
    while since and _since(on) == since:
        for one in select.select([0, terminal], [], [], 0.01)[0]:
            try:
                data = os.read(one, 4096)
            except OSError:  # EIO: nothing has the terminal any more
                return
            if not data and one == 0:
                sys.exit()
            os.write(terminal if one == 0 else 1, data)


def _since(on: Path) -> int:
    """When the power came, in nanoseconds; 0 while there is none."""
    try:
        return on.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["-i"])
