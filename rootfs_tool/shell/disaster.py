"""What an incident on a board is called, and the errors that name it."""

from __future__ import annotations

import re

from rootfs_tool.errors import ConsoleError, KernelPanic, Rebooted
from rootfs_tool.shell.incident import Incident, Kind

PANICS: frozenset[Kind] = frozenset({"panic", "init", "no-root"})

_FIRST = re.compile(rb"^init: gave up: ([^\r\n]+)", re.MULTILINE)  # of the init in an initramfs
_MESSAGE = re.compile(r"Kernel panic - not syncing.*")

_PANIC_HINTS = {
    "Attempted to kill init": "the first process ended: the lines above say why (/init, inittab)",
    "No working init": "is /init in the image, executable, and for this architecture?",
    "Unable to mount root": "no root filesystem: was the initramfs loaded, is root= right?",
}
_NAMES: dict[Kind, str] = {
    "panic": "the kernel panicked",
    "init": "the first process ended",
    "no-root": "the kernel found no root filesystem",
    "oops": "the kernel failed (an oops)",
    "oom": "the board ran out of memory and the kernel killed a process",
    "lockup": "the kernel found a processor or a process stuck",
    "watchdog": "the watchdog restarted the board",
    "undervoltage": "the board's supply voltage is too low",
    "reboot": "the board went down or restarted",
    "reset": "the board restarted and did not say why",
    "fallback": "U-Boot found nothing to boot",
}
_HINTS: dict[Kind, str] = {
    "oops": "the lines say where in the kernel; it may need a restart: rootfs-tool reset",
    "oom": "what runs there needs more memory than the board has free: `free`, `ps -o rss,args`",
    "lockup": "the lines say which; it may need a restart: rootfs-tool reset",
    "watchdog": "whoever feeds /dev/watchdog stopped doing so",
    "undervoltage": "a stronger supply or a shorter, thicker cable",
    "reboot": "a program on the board asked for it, or somebody did",
    "reset": "its watchdog, a weak power supply, or its reset button or switch?",
}


def said(incident: Incident) -> str:
    """One line that tells a person of ``incident``."""
    return f"{_NAMES[incident.kind]}: {incident.line.strip()}"


def asks_restart(command: str) -> bool:
    """Whether a shell's ``command`` is one that takes the board down."""
    words = r"\b(?:reboot|poweroff|halt|shutdown|kexec|init +[06]|sysrq-trigger)\b"
    return re.search(words, command) is not None


def error(incident: Incident, raw: bytes, tail: str, *, wanted: bool = False) -> ConsoleError:
    """The error that ``incident`` is, to whom waits for an answer; ``raw`` ends with its lines."""
    if incident.kind in PANICS or _MESSAGE.search(incident.line):
        return panic(incident, raw, tail)
    if incident.kind in ("reboot", "reset", "watchdog"):
        if wanted:
            return Rebooted(
                f"the board restarts or goes down, as it was told: {incident.line.strip()}",
                tail=tail,
                hint="the next command attaches to it anew",
            )
        return Rebooted(said(incident), tail=tail, hint=_HINTS[incident.kind])
    shown = "\n".join(incident.lines) if incident.lines else tail
    return ConsoleError(
        f"the board answers no more: {said(incident)}", tail=shown, hint=_HINTS.get(incident.kind)
    )


def panic(incident: Incident, raw: bytes, tail: str) -> KernelPanic:
    """The error for a panic, or for the end of the init in an initramfs that leads to one."""
    found = _MESSAGE.search(incident.line) or _MESSAGE.search(tail)
    message = found[0].strip() if found else incident.line.strip()
    if reason := _FIRST.findall(raw):
        words = reason[-1].decode(errors="replace")
        return KernelPanic(message, tail=tail, hint=f"the first program said: {words}")
    for cause, hint in _PANIC_HINTS.items():
        if cause in message:
            return KernelPanic(message, tail=tail, hint=hint)
    return KernelPanic(message, tail=tail, hint="the lines above it say what the kernel was doing")
