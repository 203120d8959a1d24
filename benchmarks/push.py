"""Files over a serial line of 115,200 baud: the share of it that carries their bytes.

``python -m benchmarks.push``; the board is BusyBox in QEMU and U-Boot in QEMU, the line a relay
that lets 11,520 bytes a second pass each way. Every byte is compared.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks import console_board as board
from rootfs_tool.arch import Arch
from rootfs_tool.console import connect
from rootfs_tool.console.base import Console, Line
from rootfs_tool.shell import Shell
from rootfs_tool.shell.uboot import UBoot
from rootfs_tool.sources.apt import Archive
from rootfs_tool.transfer import get, put
from tests.conftest import CHECKOUT
from tests.qemu import Machine, plugged_in, powered
from tests.shell.noise import Faults

LINE = Line()
RATE = 11520  # bytes a second
BOOT = 120.0  # seconds
ADDRESS = 0x42000000


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        program = _program(here)
        text = b"".join(b"[%12.6f] usb 1-1: message %d\n" % (n / 7, n) for n in range(5000))
        with _linux(here) as shell:
            _row("push 256 KiB random", os.urandom(1 << 18), _push(shell), goal=0.95)
            _row("push 1 MiB random", os.urandom(1 << 20), _push(shell), goal=0.95)
            _row("push a static program", program, _push(shell), goal=2.0)
            _row("pull 256 KiB random", os.urandom(1 << 18), _pull(shell), goal=0.95)
            _row("pull a log", text, _pull(shell), goal=2.0)
        with _u_boot() as uboot:
            _row("U-Boot, 256 KiB", os.urandom(1 << 18), _load(uboot), goal=0.95)


def _row(name: str, data: bytes, work: Callable[[bytes], float], *, goal: float) -> None:
    seconds = work(data)
    share = len(data) / seconds / RATE
    verdict = "ok" if share >= goal else "MISSED"
    print(
        f"{name}: {len(data):,} bytes in {seconds:.1f} s, {share:.1%} of the line "
        f"(at least {goal:.0%}) {verdict}",
        flush=True,
    )


def _push(shell: Shell) -> Callable[[bytes], float]:
    def work(data: bytes) -> float:
        begun = time.monotonic()
        put(shell, data, "/tmp/data")
        return time.monotonic() - begun

    return work


def _pull(shell: Shell) -> Callable[[bytes], float]:
    def work(data: bytes) -> float:
        put(shell, data, "/tmp/data")
        begun = time.monotonic()
        assert get(shell, "/tmp/data") == data
        return time.monotonic() - begun

    return work


def _load(uboot: UBoot) -> Callable[[bytes], float]:
    def work(data: bytes) -> float:
        begun = time.monotonic()
        uboot.load(data, ADDRESS)
        return time.monotonic() - begun

    return work


def _program(here: Path) -> bytes:
    file = here / "hello"
    source = CHECKOUT / "examples" / "hello.c"
    subprocess.run(
        ["aarch64-linux-gnu-gcc", "-O2", "-s", "-static", "-o", file, source], check=True
    )
    return file.read_bytes()


@contextmanager
def _linux(here: Path) -> Iterator[Shell]:
    with powered(board.build(here)) as machine, _line(machine) as console:
        machine.start()
        shell = Shell.attach(console, LINE, timeout=BOOT)
        yield shell
        shell.leave()


@contextmanager
def _u_boot() -> Iterator[UBoot]:
    lock = CHECKOUT / "tests" / "data" / "u-boot.lock"
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as archive:
        files = archive.fetch("u-boot-qemu").files
        assert files is not None
        binary = files.checked("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
    argv = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-m", "256"]
    argv += ["-bios", str(binary), "-nic", "none"]
    with plugged_in(*argv) as machine, _line(machine) as console:
        machine.start()
        yield UBoot.attach(console, LINE, timeout=BOOT)


@contextmanager
def _line(machine: Machine) -> Iterator[Console]:
    with (
        board.behind(machine.port, Faults(rate=RATE)) as relay,
        closing(connect(relay.path, LINE)) as console,
    ):
        yield console


if __name__ == "__main__":
    main()
