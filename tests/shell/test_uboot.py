"""A real U-Boot's prompt: commands, and files into memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootfs_tool.arch import Arch
from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConfigError, ConsoleTimeout
from rootfs_tool.shell.uboot import UBoot
from rootfs_tool.sources.apt import Archive
from tests.conftest import CHECKOUT
from tests.qemu import plugged_in
from tests.shell.boards import LINE, Relay, attached

LOCK = CHECKOUT / "tests" / "data" / "u-boot.lock"
ADDRESS = 0x42000000
CONTENT = random.Random(3).randbytes(20_000 + 77)


@pytest.fixture(scope="session")
def u_boot() -> Path:
    """U-Boot for QEMU's virt machine, of Debian."""
    with Archive(suite="trixie", arch=Arch.aarch64, lock=LOCK) as archive:
        files = archive.fetch("u-boot-qemu").files
        assert files is not None
        return files.checked("/usr/lib/u-boot/qemu_arm64/u-boot.bin")


class LosesOne(Relay):
    """The byte after the first ``left`` ones never comes to the board."""

    def __init__(self, console: Console, left: int) -> None:
        super().__init__(console)
        self._left = left

    def write(self, data: bytes) -> None:
        before, self._left = self._left, self._left - len(data)
        lost = before >= 0 > self._left
        super().write(data[:before] + data[before + 1 :] if lost else data)


@pytest.fixture
def console(u_boot: Path) -> Iterator[Console]:
    argv = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-m", "256"]
    argv += ["-bios", str(u_boot), "-nic", "none"]
    with plugged_in(*argv) as machine, machine.console() as console:
        machine.start()
        yield console


@pytest.mark.qemu
@pytest.mark.network
def test_commands(console: Console) -> None:
    uboot = UBoot.attach(console, LINE, timeout=60)
    assert uboot.run("echo hello") == ("hello\n", 0)
    assert uboot.run("false") == ("", 1)
    said, status = uboot.run("no-such-command")
    assert ("Unknown command" in said, status) == (True, 1)
    text, _ = uboot.run("crc32 0x42000000 0x10")  # its output holds the prompt
    assert "==> " in text
    long = "x" * 400
    assert uboot.run(f"echo {long}") == (f"{long}\n", 0)
    with pytest.raises(ConfigError, match="not a command for U-Boot"):
        uboot.run("echo " + "x" * 480)
    with pytest.raises(ConsoleTimeout, match="did not end `sleep 100`"):
        uboot.run("sleep 100", timeout=0.2)
    assert UBoot.attach(console, LINE, timeout=10).run("echo again") == ("again\n", 0)


@pytest.mark.qemu
@pytest.mark.network
def test_files_into_memory(console: Console) -> None:
    uboot = UBoot.attach(console, LINE, timeout=60)
    for content in (b"x", CONTENT[:1024], CONTENT):
        uboot.load(content, ADDRESS)
    uboot.load(CONTENT[::-1], ADDRESS, baudrate=921600)
    with pytest.raises(ConfigError, match="empty"):
        uboot.load(b"", ADDRESS)
    once = UBoot.attach(LosesOne(console, 2000), LINE, timeout=10)
    once.load(CONTENT[:5000], ADDRESS)
    assert uboot.run("echo usable") == ("usable\n", 0)


def test_a_board_that_is_not_in_u_boot() -> None:
    with (
        attached("busybox sh") as shell,
        pytest.raises(ConsoleTimeout, match="U-Boot's prompt did not come"),
    ):
        UBoot.attach(shell._console, LINE, timeout=1)
