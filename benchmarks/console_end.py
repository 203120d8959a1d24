"""A board that goes down in the middle of a command, hangs, or sends more than most can take."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from benchmarks import console_peers as peers
from benchmarks.console_table import TOOLS, Table
from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConsoleError, Hung, KernelPanic, Rebooted
from rootfs_tool.reset import Way, reset
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed
from tests.qemu import powered
from tests.shell.boards import Relay, until

PROMPT = b"~ # "
NAMED = 0.5  # seconds from the line on the wire to its error
BACK = 2.0  # seconds from a boot's prompt to the next command's answer
PATIENCE = 40.0  # seconds that a command of a tool may take
DEAF = "trap '' INT QUIT TSTP HUP; stty -isig -echo; while :; do :; done"
ENDS = {
    "a reboot": ("sleep 1; reboot -f", b"reboot: Restarting system", Rebooted),
    "a panic": ("sleep 1; echo c >/proc/sysrq-trigger", b"Kernel panic", KernelPanic),
}


class Stamped(Relay):
    """Notes when ``words`` have passed."""

    def __init__(self, console: Console, words: bytes) -> None:
        super().__init__(console)
        self._words = words
        self._said = b""
        self.at = float("inf")

    def read(self, timeout: float) -> bytes:
        data = super().read(timeout)
        self._said = (self._said + data)[-200:]
        if self._words in self._said and self.at == float("inf"):
            self.at = time.monotonic()
        return data


def raw_rate(out: Path, make: str, size: int) -> float:
    """Seconds that the machine's port takes for the same bytes, with nobody in between."""
    with powered(out) as machine, machine.console() as console:
        machine.start()
        until(console, PROMPT, 60)
        console.write(f"stty -echo -opost; {make}; echo ma''de\r".encode())
        until(console, b"made\n", 100)
        until(console, PROMPT)
        console.write(b"echo be''gin; cat /tmp/large\r")
        said = until(console, b"begin\n").partition(b"begin\n")[2]
        begun = time.monotonic()
        came = len(said)
        while came < size:
            came += len(console.read(5.0))
        return time.monotonic() - begun


def ends(out: Path, table: Table) -> None:
    """Each end, ours and the others'."""
    for what, (command, words, error) in ENDS.items():
        said = {name: _theirs(out, name, command) for name in TOOLS if name != "ours"}
        said["ours"], met = _ours(out, command, words, error)
        table.row(f"{what} in mid-command", said, f"named in {NAMED:g} s, next one works", met)
    for goal, restart in (("Hung", False), ("a shell again", True)):
        name = "a program that no key ends" + ", SysRq allowed" * restart
        text, met = _deaf(out, restart=restart)
        table.row(name, {"ours": text}, goal, met)


def _ours(out: Path, command: str, words: bytes, error: type[ConsoleError]) -> tuple[str, bool]:
    with powered(out) as machine, machine.console() as port:
        machine.start()
        console = Stamped(port, words)
        shell = Shell.attach(console, Line(), timeout=60)
        try:
            shell.run(command, timeout=PATIENCE)
        except error:
            named = time.monotonic() - console.at
        except ConsoleError as other:
            return f"{type(other).__name__}: {other}", False
        else:
            return "an answer", False
        begun = time.monotonic()
        alive = shell.run("echo alive", timeout=PATIENCE).output == b"alive\n"
        seconds = time.monotonic() - begun
        return f"{named:.2f} s, {seconds:.1f} s", alive and 0 <= named <= NAMED


def _theirs(out: Path, name: str, command: str) -> str:
    """How long it took, and how many of the next three commands were right."""
    with powered(out) as machine, peers.tool(name, machine.port) as tool:
        machine.start()
        attached = tool.attach(60)
        if attached.error:
            return f"no start: {attached.error}"
        answer = tool.run(command, PATIENCE)
        right = sum(tool.run("echo alive", 10).output == b"alive\n" for _ in range(3))
        word = answer.error.partition(":")[0] if answer.error else f"status {answer.status}"
        return f"{answer.seconds:.0f} s {word}, {right}/3"


def _deaf(out: Path, *, restart: bool) -> tuple[str, bool]:
    with powered(out) as machine, machine.console() as console:
        machine.start()
        until(console, PROMPT, 60)
        console.write(f'sh -c "{DEAF}"\r'.encode())
        until(console, b"done")
        again = partial(reset, console, Line(), way=Way.SYSRQ) if restart else None
        begun = time.monotonic()
        try:
            shell = Shell.attach(console, Line(), timeout=60, allowed=Allowed(restart=again))
            right = shell.run("echo alive").output == b"alive\n"
        except Hung:
            return f"Hung, {time.monotonic() - begun:.1f} s", not restart
        except ConsoleError as error:
            return f"{type(error).__name__}: {error}", False
        return f"{time.monotonic() - begun:.1f} s", restart and right
