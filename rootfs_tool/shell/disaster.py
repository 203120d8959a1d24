"""What a board says when it goes down, and the errors that name it."""

from __future__ import annotations

import re

from rootfs_tool.errors import ConsoleError, KernelPanic

PANIC = re.compile(rb"Kernel panic - not syncing[^\r\n]*")
REBOOT = re.compile(
    rb"reboot: (?:Restarting system|System halted|Power down)|U-Boot (?:SPL )?20\d\d\.\d\d"
    rb"|Booting Linux on physical CPU"
)
FIRST = re.compile(rb"^init: gave up: ([^\r\n]+)", re.MULTILINE)  # of the init in an initramfs
LONGEST = 64  # bytes: no phrase above needs more to be recognised

_PANIC_HINTS = {
    "Attempted to kill init": "the first process ended: the lines above say why (/init, inittab)",
    "No working init": "is /init in the image, executable, and for this architecture?",
    "Unable to mount root": "no root filesystem: was the initramfs loaded, is root= right?",
}


def panic(said: bytes, tail: str) -> KernelPanic:
    """The error for the panic in ``said``, which holds PANIC."""
    found = PANIC.search(said)
    message = found[0].decode(errors="replace") if found else "Kernel panic"
    if reason := FIRST.findall(said):
        words = reason[-1].decode(errors="replace")
        return KernelPanic(message, tail=tail, hint=f"the first program said: {words}")
    for cause, hint in _PANIC_HINTS.items():
        if cause in message:
            return KernelPanic(message, tail=tail, hint=hint)
    return KernelPanic(message, tail=tail, hint="the lines above it say what the kernel was doing")


def rebooted(phrase: str, tail: str) -> ConsoleError:
    return ConsoleError(
        f"the board went down or restarted: it said {phrase!r}",
        tail=tail,
        hint="a watchdog, a weak power supply, or a command that rebooted it?",
    )
