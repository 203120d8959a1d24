"""From a program's start to its first answer, and what a console is found at."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks import console_board as board
from benchmarks import console_peers as peers
from benchmarks.console_end import DEAF, PROMPT
from benchmarks.console_table import Table
from rootfs_tool.console import connect
from rootfs_tool.console.base import Console, Line
from rootfs_tool.shell.sights import State, classify
from rootfs_tool.shell.stream import Stream
from tests.qemu import LOUD, plugged_in, powered
from tests.shell.boards import until
from tests.shell.noise import Faults

CLASSIFIED = 5.0  # seconds
U_BOOT = "u-boot-qemu"
# openssl passwd -6 of "secret"
HASH = (
    "$6$benchmark$BnKR4D1GzYgVNTXJAUDcQM1aBiC1qN7GwH5A"
    "1o3o9sww9gSqXy9tbJ7Sf3x2DwI5Tjn7LQCCY2qMomXp8qsOj1"
)


def first(out: Path, table: Table, rounds: int) -> None:
    """Both start the machine themselves, each in its own way; with their interpreters' start."""
    seconds: dict[str, list[float]] = {"ours": [], "labgrid": []}
    for _ in range(rounds + 1):
        for name, found in seconds.items():
            begun = time.monotonic()
            with peers.tool(name, str(out)) as tool:
                attached = tool.attach(60)
                answer = tool.run("echo hello", 10)
                if attached.error or answer.output != b"hello\n":
                    raise RuntimeError(f"{name}: {attached}, {answer}")
                found.append(time.monotonic() - begun)
    medians: dict[str, float | None] = {
        name: statistics.median(found[1:]) for name, found in seconds.items()
    }
    table.ratio("program started to first answer", medians, {"labgrid": 0.9})


def states(out: Path, table: Table) -> None:
    """Ten states that a console can be in, each classified without a key that changes it."""
    found: dict[State, tuple[State, float]] = {}

    def look(console: Console, there: State) -> None:
        begun = time.monotonic()
        state = classify(Stream(console), begun + 2 * CLASSIFIED)
        found[there] = (state, time.monotonic() - begun)

    _in_u_boot(out, look)
    _in_a_kernel(out, look)
    _in_linux(out, look)
    near, far = os.openpty()
    with closing(connect(os.ttyname(far), Line())) as console:
        look(console, State.DEAD)
    for descriptor in (near, far):
        os.close(descriptor)
    right = [
        there
        for there, (state, seconds) in found.items()
        if state is there and seconds <= CLASSIFIED
    ]
    slowest = max(seconds for _, seconds in found.values())
    for there, (state, seconds) in found.items():
        if there not in right:
            print(f"{there} was taken for {state} after {seconds:.2f} s")
    said = {"ours": f"{len(right)}/{len(found)}, {slowest:.1f} s"}
    table.row("states told apart", said, f"10, {CLASSIFIED:g} s each", len(right) == 10)


def _in_u_boot(out: Path, look: Callable[[Console, State], None]) -> None:
    with _u_boot(out.parent) as console:
        until(console, b"autoboot", 30)
        look(console, State.COUNTDOWN)
    with _u_boot(out.parent) as console:
        until(console, b"autoboot", 30)
        console.write(b" ")
        until(console, b"=> ")
        look(console, State.U_BOOT)


@contextmanager
def _u_boot(directory: Path) -> Iterator[Console]:
    """A machine that Debian's U-Boot starts, with nothing to boot."""
    home = directory / U_BOOT
    if not home.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(("apt-get", "download", "-q", U_BOOT), cwd=directory, check=True)
        (deb,) = directory.glob(f"{U_BOOT}_*.deb")
        subprocess.run(("dpkg-deb", "--extract", deb, home), check=True)
    firmware = home / "usr/lib/u-boot/qemu_arm64/u-boot.bin"
    argv = ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-nic", "none")
    with (
        plugged_in(*argv, "-bios", str(firmware)) as machine,
        machine.console() as console,
    ):
        machine.start()
        yield console


def _in_a_kernel(out: Path, look: Callable[[Console, State], None]) -> None:
    """A boot as long as a real one: it says a lot, at 115,200 baud."""
    with (
        powered(out, f"{LOUD} initcall_debug") as machine,
        board.behind(machine.port, Faults(rate=11520)) as line,
        closing(connect(line.path, Line())) as console,
    ):
        machine.start()
        until(console, b"Linux version", 30)
        look(console, State.KERNEL)


def _in_linux(out: Path, look: Callable[[Console, State], None]) -> None:
    with powered(out) as machine:
        with machine.console() as console:
            machine.start()
            until(console, PROMPT, 60)
            look(console, State.SHELL)
            console.write(b"\x15echo 'open\r")
            until(console, b"> ")
            look(console, State.CONTINUATION)
            console.write(b"\x03")
            until(console, PROMPT)
            console.write(
                f"sed -i 's|^root:[^:]*|root:{HASH}|' /etc/passwd /etc/shadow; login\r".encode()
            )
            until(console, b"login: ")
            look(console, State.LOGIN)
            console.write(b"\x15root\r")
            until(console, b"assword: ")
            look(console, State.PASSWORD)
            console.write(b"\x03")
            until(console, PROMPT)
        with peers.tool("ours", machine.port) as tool:
            tool.attach(30)
            tool.run("true", 10)
        with machine.console() as console:
            look(console, State.AGENT)
            console.write(b"\rexit\n")
            until(console, PROMPT)
            console.write(f'sh -c "{DEAF}"\r'.encode())
            until(console, b"done")
            look(console, State.PROGRAM)
