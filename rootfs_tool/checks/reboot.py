"""Does the board come back from a reboot?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.errors import ConsoleTimeout, Rebooted
from rootfs_tool.model import Field

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell
    from rootfs_tool.shell.foreground import Foreground

# A new one at every start of the kernel (random(4)).
_BOOT = "cat /proc/sys/kernel/random/boot_id"
_REFUSED = "refuses to reboot"
_STEP = 1.0  # seconds between two looks at the clock


class Reboot(Check):
    """The board reboots and has a shell again; the checks after this one are on the new boot."""

    type: Literal["reboot"] = "reboot"

    timeout: float = Field(default=60.0, gt=0)
    """Seconds until its console must show that; --boot-timeout is for the way up."""

    def run(self, bench: Bench) -> str:
        before = bench.shell.run(_BOOT).text
        start = time.monotonic()
        _restart(bench.shell, self.timeout)
        if bench.shell.run(_BOOT).text == before:
            raise CheckFailed(
                f"the board did not restart within {self.timeout:g} s",
                hint="has it an init that hears `reboot`? A service that takes long to stop "
                "delays it too",
            )
        return f"a shell again after {time.monotonic() - start:.1f} s"


def _restart(shell: Shell, timeout: float) -> None:
    """Tell the board to reboot, and return when it has begun to, or the time is up.

    Nothing is sent meanwhile: a key in that moment stops a boot loader, and after one the serial
    port of QEMU 7.2 was seen to hear nothing any more.
    """
    script = f"reboot 2>&1 || {{ echo '{_REFUSED}'; exit; }}; sleep {timeout:.0f}"
    said = b""
    try:
        with shell.foreground(script) as front:
            said = _await_restart(front, time.monotonic() + timeout)
    except (Rebooted, ConsoleTimeout):
        if not shell.lost:
            raise
    before, refused, _ = said.partition(_REFUSED.encode())
    if refused:
        raise CheckFailed(f"the board {_REFUSED}: {before.decode(errors='replace').strip()}")


def _await_restart(front: Foreground, deadline: float) -> bytes:
    """Listen until the board speaks again after it went down; returns what came before that."""
    said = b""
    while (left := deadline - time.monotonic()) > 0 and _REFUSED.encode() not in said:
        try:
            said += front.read(min(_STEP, left))
        except Rebooted:
            _await_words(front, deadline)
            raise
    return said


def _await_words(front: Foreground, deadline: float) -> None:
    """Wait for the first words of the new boot."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            if front.read(min(_STEP, left)):
                return
        except Rebooted:
            return
