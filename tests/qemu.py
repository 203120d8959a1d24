"""Machines of QEMU's with a serial port that any program can open, and that start again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rootfs_tool import manifest, proc, recipe
from rootfs_tool.cli.subject import machine
from rootfs_tool.console import connect
from rootfs_tool.console.base import Console, Line
from rootfs_tool.targets.qmp import Qmp
from tests.shell.boards import Relay

LINE = Line()
LOUD = "loglevel=8 printk.devkmsg=on"  # all that the kernel says goes to the console


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """``port`` is its serial port, a pseudo-terminal. Its power is off until `start`."""

    port: str
    qmp: Qmp

    def start(self) -> None:
        self.qmp.execute("cont")

    @contextmanager
    def console(self) -> Iterator[Console]:
        """Its port, with breaks, which QEMU has to make itself."""
        with closing(_Breaking(connect(self.port, LINE), self.qmp)) as console:
            yield console


class _Breaking(Relay):
    def __init__(self, console: Console, qmp: Qmp) -> None:
        super().__init__(console)
        self._qmp = qmp

    def send_break(self) -> None:
        self._qmp.execute("chardev-send-break", id="console")


@contextmanager
def powered(out: Path, words: str = LOUD) -> Iterator[Machine]:
    """A build's machine, with ``words`` on its kernel's command line."""
    qemu = machine(recipe.find(str(out))[0])
    built = manifest.load(out)
    built = dataclasses.replace(built, cmdline=f"{built.cmdline} {words}")
    with qemu.start(built) as start, plugged_in(*qemu.argv(built, start)) as there:
        yield there


@contextmanager
def plugged_in(*argv: str) -> Iterator[Machine]:
    """The machine of that command line, with its first serial port on a pseudo-terminal."""
    with proc.running(
        *argv,
        *("-display", "none", "-monitor", "none", "-S", "-qmp", "stdio"),
        *("-chardev", "pty,id=console", "-serial", "chardev:console"),
        stdin=proc.PIPE,
        stdout=proc.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            qmp = Qmp(process.stdin, process.stdout)
            chardevs = {one["label"]: one["filename"] for one in qmp.execute("query-chardev")}
            yield Machine(port=chardevs["console"].removeprefix("pty:"), qmp=qmp)
            process.kill()
