"""What goes wrong on a board, recognised in what it sends: panics, resets, lack of memory or power.

The words are those of the kernel's own messages (kernel/panic.c, mm/oom_kill.c, kernel/watchdog.c,
kernel/reboot.c, drivers/hwmon/raspberrypi-hwmon.c), of U-Boot (common/autoboot.c, boot/bootm.c) and
of the init in an initramfs of ours; tests/data/console has a recording of each.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "panic", "init", "no-root", "oops", "oom", "lockup", "watchdog",
    "undervoltage", "reboot", "reset", "fallback",
]  # fmt: skip

_FATAL: frozenset[Kind] = frozenset(
    {"panic", "init", "no-root", "watchdog", "reboot", "reset", "fallback"}
)
_SEVERE: frozenset[Kind] = frozenset({"oops", "oom", "lockup"})
_WITH_TRACE: frozenset[Kind] = frozenset({"panic", "init", "no-root", "oops", "lockup"})

_BEFORE = 6  # lines that lead up to an incident
_AFTER = 60  # lines of the kernel's after it: registers, modules, a call trace
_SHORT = 4  # where no such lines come
_LONGEST_LINE = 2048  # bytes; of a longer one only the end is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """``line`` names it, ``lines`` show it: what led to it, and what has come of it since."""

    kind: Kind
    line: str
    lines: tuple[str, ...]
    certain: bool
    """Whether only a kernel or a boot loader writes so; else it may be a program's output."""

    @property
    def fatal(self) -> bool:
        """Whether what ran on the board is gone."""
        return self.kind in _FATAL

    @property
    def sure(self) -> bool:
        """Whether we only make sure of it."""
        return self.fatal and self.certain

    @property
    def severe(self) -> bool:
        """Whether the board may have stopped over it, though it need not."""
        return self.kind in _SEVERE


# A message of the kernel begins a line, or comes in the middle of one with its time; printk can
# also be told to leave the time out, and to add the level and the caller.
_TIME = rb"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? "
_FROM_KERNEL = rb"(?:^(?:<\d+>)?|" + _TIME + rb")"
_WORDS: tuple[tuple[Kind, bytes], ...] = (
    ("init", rb"Kernel panic - not syncing: (?:Attempted to kill init|No working init|Reques)"),
    ("no-root", rb"Kernel panic - not syncing: VFS: Unable to mount root"),
    (
        "watchdog",
        (
            rb"Kernel panic - not syncing: (?:softlockup|hung_task|Hard LOCKUP|Watchdog)"
            rb"|(?:softdog: )?Initiating system reboot"
        ),
    ),
    ("panic", rb"Kernel panic - not syncing"),
    ("init", rb"init: gave up: "),
    (
        "lockup",
        (
            rb"watchdog: BUG: soft lockup|BUG: workqueue lockup|watchdog: .*hard LOCKUP"
            rb"|rcu: INFO: rcu_\w+ (?:self-)?detected|INFO: task \S+ blocked for more than"
        ),
    ),
    (
        "oops",
        (
            rb"Internal error: |Unable to handle kernel |BUG: |kernel BUG at "
            rb"|Oops[: ]|general protection fault"
        ),
    ),
    ("oom", rb"(?:Out of memory|Memory cgroup out of memory): Kill"),
    ("undervoltage", rb"(?:[\w.:-]+ ){0,3}Under-?voltage detected!"),
    ("reboot", rb"reboot: (?:Restarting system|System halted|Power down)|sysrq: Resetting"),
    ("reset", rb"NOTICE:  BL|U-Boot [ST]PL 20|U-Boot 20|Booting Linux on|Linux version \d"),
)
_RULES = tuple((kind, re.compile(_FROM_KERNEL + rb"(?:" + words + rb")")) for kind, words in _WORDS)
_BOOT = (b"NOTICE:", b"U-Boot TPL", b"U-Boot SPL", b"U-Boot 20", b"Booting Linux", b"Linux version")
_LEADS = re.compile(
    rb"invoked oom-killer|Cannot open root device|append a correct|watchdog did not stop"
    rb"|## Error|ERROR: |Bad Linux|Wrong Image|Retry time exceeded|Card did not respond"
    rb"|No ethernet found|no kernel available|No more bootdevs|0 bootflows|SCRIPT FAILED"
)
# What U-Boot says early on: who opens the port late has missed its name.
_LOADER = re.compile(rb"DRAM: +\d+|Core: +\d+ devices|Loading Environment from |Starting kernel")
_WORTH_A_LOOK = re.compile(
    rb"Kernel panic|Initiating system|init: gave|lockup|LOCKUP|rcu: INFO|INFO: task|Internal error"
    rb"|Unable to handle|BUG: |kernel BUG|Oops|general protection|emory: Kill|voltage detected"
    rb"|reboot: |sysrq: Res|U-Boot |Booting Linux|Linux version|Starting kernel|NOTICE:  BL|\x1e"
    rb"|" + _LEADS.pattern + rb"|" + _LOADER.pattern
)
_UBOOT = re.compile(rb"(?:=> |U-Boot> )\Z")
_STAMPED = re.compile(_TIME)
_OVER = re.compile(rb"---\[ end|Rebooting in ")
_DECORATION = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]|[\x00-\x08\x0b-\x1f\x7f]")


class Watcher:
    """Reads along: give it all that comes, in whatever pieces, and it says what happened."""

    def __init__(self) -> None:
        self.incidents: list[Incident] = []
        """All so far, each with the lines that have come of it."""

        self.mark: bytes | None = None
        """The word in the answers of the agent on this console, if there is one."""

        self.quoting = False
        """Whether what comes is the content of something, and so says nothing about the board."""

        self._rest = b""
        self._stage = len(_BOOT)  # of the boot that is under way, in the order of _BOOT
        self.in_boot_loader = False
        """Whether a boot loader has begun, and neither its prompt nor a kernel came since."""

        self.booted = False
        """Whether the beginning of a boot was seen."""

        self._leads: deque[bytes] = deque(maxlen=_BEFORE)
        self._lines: deque[bytes] = deque(maxlen=2)
        self._open = 0  # lines that the newest incident still takes in

    def feed(self, data: bytes) -> list[Incident]:
        """What ``data`` shows to have happened, in its order."""
        known = len(self.incidents)
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        if newline and (self._open or _WORTH_A_LOOK.search(whole)):
            for line in whole.split(b"\n"):
                self._line(line)
        elif newline:
            self._lines.extend(whole.rsplit(b"\n", 2)[-2:])
        if self.in_boot_loader and not self.quoting and _UBOOT.fullmatch(self._rest):
            self.in_boot_loader = False
            self._add("fallback", self._rest, certain=True)
        return self.incidents[known:]

    def end(self) -> list[Incident]:
        """The same for a last line that did not come whole."""
        return self.feed(b"\r\n")

    def _line(self, raw: bytes) -> None:
        if self.mark is not None and b"\x1e" in raw:
            self._frame(raw)
        line = raw.rstrip(b"\r")
        if self._belongs(line):
            return
        if _LOADER.match(line) and not self.quoting:
            self.in_boot_loader = True  # until the kernel speaks, which may take it seconds
        elif kind := _kind(line):
            # What the agent lets a program write ends with LF alone; a driver adds CR.
            self._seen(kind, line, certain=raw.endswith(b"\r") and not self.quoting)
        elif _LEADS.search(line):
            self._leads.append(line)
            return
        self._lines.append(line)

    def _frame(self, line: bytes) -> None:
        """The agent's answers have bodies, in which anything may be."""
        if b"\x1eB" in line:
            self.quoting = True
        elif re.match(rb"\x1e[A-Z] %s " % self.mark, line):
            self.quoting = False

    def _belongs(self, line: bytes) -> bool:
        """Take ``line`` in as one more of the newest incident, if it is not the next one."""
        if not self._open:
            return False
        newest = self.incidents[-1]
        kind = _kind(line) or newest.kind
        stamped = _STAMPED.search(newest.line.encode()) is not None
        if kind != newest.kind or (not _STAMPED.search(line) if stamped else _LEADS.search(line)):
            self._open = 0
            return False
        self._open = 0 if _OVER.search(line) else self._open - 1
        self.incidents[-1] = replace(newest, lines=(*newest.lines, _text(line)))
        return True

    def _seen(self, kind: Kind, line: bytes, *, certain: bool) -> None:
        if kind == "reset" and not self.quoting:
            before, self._stage = self._stage, _stage(line)
            self.booted = True
            self.in_boot_loader = b"Linux" not in line
            if before < self._stage:  # the same boot, or one that was to be expected
                return
        if not self.quoting or kind in _FATAL:
            self._add(kind, line, certain=certain)
        if kind in _FATAL and kind != "reset" and not self.quoting:
            self._stage = -1

    def _add(self, kind: Kind, line: bytes, *, certain: bool) -> None:
        before = (*self._lines, *self._leads) if kind != "fallback" else self._leads
        lines = tuple(dict.fromkeys(_text(one) for one in (*before, line) if one.strip()))
        words = _STAMPED.search(line)  # a prompt may stand before it
        named = _text(line[words.start() if words else 0 :])
        self.incidents.append(Incident(kind=kind, line=named, lines=lines, certain=certain))
        self._leads.clear()
        self._open = _AFTER if kind in _WITH_TRACE else _SHORT


def _kind(line: bytes) -> Kind | None:
    return next((kind for kind, words in _RULES if words.search(line)), None)


def _stage(line: bytes) -> int:
    return next(number for number, words in enumerate(_BOOT) if words in line)


def _text(line: bytes) -> str:
    return _DECORATION.sub(b"", line).decode(errors="backslashreplace")
