"""U-Boot in QEMU fetches; what BusyBox on Linux does there is in tests/bringup."""

from __future__ import annotations

import re
import shlex
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.arch import Arch
from rootfs_tool.console.base import Console
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.sources.apt import Archive
from tests.conftest import CHECKOUT
from tests.tftpd.lan import BOARD, HOST, lan
from tests.tftpd.served import Served

LOCK = CHECKOUT / "tests" / "data" / "u-boot.lock"
pytestmark = [pytest.mark.qemu, pytest.mark.network]
PROMPT = rb"\n=> \Z"
MIB = 1 << 20


@pytest.fixture(scope="session")
def u_boot() -> Path:
    """U-Boot for QEMU's virt machine, of Debian."""
    with Archive(suite="trixie", arch=Arch.aarch64, lock=LOCK) as archive:
        files = archive.fetch("u-boot-qemu").files
        assert files is not None
        return files.checked("/usr/lib/u-boot/qemu_arm64/u-boot.bin")


def until(console: Console, pattern: bytes, *, seconds: float = 60) -> str:
    """What the board says up to ``pattern``."""
    said, deadline = b"", time.monotonic() + seconds
    while not re.search(pattern, said):
        assert time.monotonic() < deadline, said
        said += console.read(1)
    return said.decode(errors="replace")


def command(console: Console, line: str) -> str:
    console.write(line.encode() + b"\n")
    return until(console, PROMPT)


@pytest.fixture
def prompt(u_boot: Path, served: Served) -> Iterator[Console]:
    """U-Boot's, on a network where port 69 of HOST is the server."""
    with lan((served.address, served.port)) as network:
        argv = [
            *("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-m", "256"),
            *("-bios", str(u_boot), "-display", "none", "-monitor", "none", "-serial", "stdio"),
            *("-netdev", f"{network.netdev},id=net0"),
            *("-device", "virtio-net-pci,netdev=net0,romfile="),
        ]
        with closing(ProcessConsole(shlex.join(argv))) as console:
            until(console, rb"stop autoboot")
            console.write(b"\n")
            until(console, PROMPT)
            command(console, f"setenv ipaddr {BOARD}; setenv serverip {HOST}")
            yield console


def test_u_boot_fetches_the_same_bytes(prompt: Console, served: Served) -> None:
    # Its virtio driver has 32 buffers, and hears no more once a burst has filled them all.
    for blksize, window in ((512, 1), (1468, 1), (1468, 8), (1468, 16)):
        for size in (1, 1468 * 16, MIB + 1):
            content = served.file("Image", size)
            options = f"setenv tftpblocksize {blksize}; setenv tftpwindowsize {window}"
            command(prompt, options)
            said = command(prompt, "tftpboot 0x42000000 Image && crc32 0x42000000 ${filesize}")
            assert f"==> {zlib.crc32(content):08x}" in said, (blksize, window, said)
            assert "T " not in said.partition("Loading: ")[2], f"it had to ask again: {said}"


def test_u_boot_says_what_is_not_there(prompt: Console) -> None:
    assert "file not found' (1)" in command(prompt, "tftpboot 0x42000000 nothing").lower()
