"""The serial ports of this host: which there are, their lasting names, and who has one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DEVICES = Path("/dev")
PSEUDO = "/dev/pts/"  # each is somebody's who made it up, and holds it at both ends perhaps
_LOCKS = Path("/run/lock")  # LCK..ttyUSB0 holds a process id (Filesystem Hierarchy Standard 5.9)
_NAMED = ("serial/by-id/*", "ttyUSB*", "ttyACM*")


def there() -> str:
    """The serial devices that this host has, for the hint of an error."""
    found = [str(port) for pattern in _NAMED for port in sorted(DEVICES.glob(pattern))]
    if not found:
        return "this host has no USB serial device: is the adapter plugged in?"
    return f"this host has {', '.join(found)}"


def lasting_name(path: str) -> str:
    """The name under which udev shows this port again, whatever the kernel calls it then.

    /dev/serial/by-id has the adapter's serial number, /dev/serial/by-path the USB socket it is in
    (udev's 60-serial.rules); a port that has neither keeps the name it has.
    """
    wanted = os.path.realpath(path)
    for kind in ("by-id", "by-path"):
        for link in sorted((DEVICES / "serial" / kind).glob("*")):
            if os.path.realpath(link) == wanted:
                return str(link)
    return path


def comes_back(path: str) -> bool:
    """Whether the port may be there again after it has gone.

    A pseudo-terminal is not: its name goes to the next who asks for one. A link to it may be.
    """
    return Path(path).is_symlink() or not path.startswith(PSEUDO)


def holder(path: str) -> str | None:
    """The name and process id of another program that has the port ``path``, as far as /proc tells.

    Who has it open shows with our own processes (all, for root); a lock on it, a lock file, and
    whose controlling terminal it is, with everybody's.
    """
    device = os.path.realpath(path)
    with suppress(OSError):
        state = Path(device).stat()
        for process in _candidates(device, state) if stat.S_ISCHR(state.st_mode) else ():
            if process != os.getpid() and not _is_other_end(process, device):
                with suppress(OSError):  # it has ended
                    name = Path(f"/proc/{process}/comm").read_text().strip()
                    return f"{name} (process {process})"
    return None


def _candidates(device: str, state: os.stat_result) -> Iterator[int]:
    lock_file = _LOCKS / f"LCK..{Path(device).name}"
    with suppress(OSError, ValueError, IndexError):
        yield int(lock_file.read_text(errors="replace").split()[0])
    inode = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    for lock in re.finditer(rf"(\d+) {inode} ", Path("/proc/locks").read_text()):
        yield int(lock[1])
    for process in Path("/proc").glob("[0-9]*"):
        if _has(process, device, state.st_rdev):
            yield int(process.name)


def _has(process: Path, device: str, number: int) -> bool:
    """Not a child of ours that has not become its program yet: it has what we have."""
    with suppress(OSError):
        fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if int(fields[1]) == os.getpid() and _command(process) == _command(Path("/proc/self")):
            return False  # fields[1] is its ppid, proc(5)
        if int(fields[4]) == _old_number(number):  # tty_nr, proc(5)
            return True
        return any(str(entry.readlink()) == device for entry in (process / "fd").iterdir())
    return False


def _command(process: Path) -> bytes:
    return (process / "cmdline").read_bytes()


def _old_number(number: int) -> int:
    """A device number as tty_nr has it: the minor's high bits above the major (proc(5))."""
    major, minor = os.major(number), os.minor(number)
    return (minor & 0xFF) | (major << 8) | ((minor >> 8) << 20)


def _is_other_end(process: int, device: str) -> bool:
    """Whether it is the program behind a pseudo-terminal, which keeps our end open too."""
    if not device.startswith(PSEUDO):
        return False
    with suppress(OSError):
        for entry in Path(f"/proc/{process}/fdinfo").iterdir():
            if f"tty-index:\t{Path(device).name}\n" in entry.read_text():
                return True
    return False
