"""A board in every state that a console can show: from its boot loader on, on one real boot."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rootfs_tool import manifest
from rootfs_tool.arch import Arch
from rootfs_tool.console import connect
from rootfs_tool.console.base import Console, Line
from rootfs_tool.events import Event, listening
from rootfs_tool.reset import Way, reset
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed, await_prompt
from rootfs_tool.shell.sights import State, classify
from rootfs_tool.shell.stream import Stream
from rootfs_tool.sources.apt import Archive
from tests.command import built
from tests.conftest import CHECKOUT
from tests.shell.boards import Relay

pytestmark = [pytest.mark.qemu, pytest.mark.network]

LINE = Line(login="getty")
# openssl passwd -6 of "secret"
HASH = (
    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/"
    "cZ/1GM/O6IND4WQhG."
)
RECIPE = f"""\
modules = []
root-password = "{HASH}"
[console]
login = "getty"
[network]
interface = []
"""


@pytest.fixture(scope="module")
def with_getty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("getty"), RECIPE)


@pytest.fixture(scope="module")
def u_boot() -> Path:
    lock = CHECKOUT / "tests" / "data" / "u-boot.lock"
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as archive:
        files = archive.fetch("u-boot-qemu").files
        assert files is not None
        return files.checked("/usr/lib/u-boot/qemu_arm64/u-boot.bin")


class Machine(Relay):
    """QEMU with its console on a pty; it starts anew when its kernel does."""

    def __init__(self, out: Path, where: Path, *extra: str, append: str = "") -> None:
        control = where / "qmp"
        argv = [
            *("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-m", "512"),
            *("-smp", "2", "-display", "none", "-monitor", "none", "-nic", "none", "-S"),
            *("-chardev", "pty,id=console", "-serial", "chardev:console"),
            *("-qmp", f"unix:{control},server=on,wait=on", "-kernel", str(out / "Image")),
            *("-append", f"{manifest.load(out).cmdline} {append}", *extra),
        ]
        self._qemu = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        self._control = socket.socket(socket.AF_UNIX)
        while self._control.connect_ex(str(control)):
            assert self._qemu.poll() is None
        self._lines = self._control.makefile("rw", buffering=1)
        self.ask("qmp_capabilities")
        chardevs = {one["label"]: one["filename"] for one in self.ask("query-chardev")}
        super().__init__(connect(chardevs["console"].replace("pty:", "serial:"), LINE))
        self.ask("cont")

    def ask(self, command: str, **arguments: str) -> Any:
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while "return" not in (answer := json.loads(self._lines.readline())):
            pass
        return answer["return"]

    def send_break(self) -> None:
        self.ask("chardev-send-break", id="console")

    def close(self) -> None:
        super().close()
        self._lines.close()
        self._control.close()
        self._qemu.kill()
        self._qemu.wait()


@pytest.fixture(scope="module")
def board(
    with_getty: Path, u_boot: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """One that starts with U-Boot's countdown."""
    initrd = str(with_getty / "initramfs.cpio.zst")
    where = tmp_path_factory.mktemp("machine")
    with closing(Machine(with_getty, where, "-initrd", initrd, "-bios", str(u_boot))) as machine:
        yield machine


def until(console: Console, pattern: bytes, seconds: float = 60) -> None:
    said, deadline = b"", time.monotonic() + seconds
    while not re.search(pattern, said):
        assert time.monotonic() < deadline, said
        said += console.read(0.1)


def told(console: Console) -> State:
    begun = time.monotonic()
    state = classify(Stream(console), begun + 5)
    assert time.monotonic() - begun < 5
    return state


def test_each_of_ten_states_is_told_and_left_as_it_is(
    board: Machine, with_getty: Path, tmp_path: Path
) -> None:
    until(board, rb"autoboot: +2")
    assert told(board) is State.COUNTDOWN
    board.write(b" ")
    until(board, rb"\n=> \Z")
    board.write(b"setenv runs ${runs}1\r")  # an empty line would do it once more
    until(board, rb"\n=> \Z")
    assert told(board) is State.U_BOOT
    board.write(b"echo $runs once\r")
    until(board, rb"\n1 once\r\n=> \Z")
    board.write(b"boot\r")
    until(board, rb" login: \Z")
    assert told(board) is State.LOGIN
    board.write(b"root\r")
    until(board, rb"Password: \Z")
    assert told(board) is State.PASSWORD
    board.write(b"root\r")
    until(board, rb"Password: \Z")
    board.write(b"secret\r")
    until(board, rb"# (?:\x1b\[6n)?\Z")
    board.write(b"touch half typed")
    until(board, rb"typed\Z")
    assert told(board) is State.SHELL
    board.write(b"echo 'open\r")
    until(board, rb"> (?:\x1b\[6n)?\Z")
    assert told(board) is State.CONTINUATION
    board.write(b"\x03")
    until(board, rb"# (?:\x1b\[6n)?\Z")
    board.write(b"echo 1 >/proc/sys/kernel/sysrq; sleep 1000\r")
    until(board, rb"1000\r+\n\Z")
    assert told(board) is State.PROGRAM
    board.write(b"\x03")
    until(board, rb"# (?:\x1b\[6n)?\Z")
    shell = Shell.attach(board, LINE, timeout=30)
    assert shell.run("ls half typed").status
    assert told(board) is State.AGENT
    assert shell.run("echo still here").text == "still here\n"
    shell.leave()
    board.write(b"echo the prompt is back\r")
    until(board, rb"back\r+\n[^\n]*# (?:\x1b\[6n)?\Z")
    board.ask("stop")
    try:
        assert told(board) is State.DEAD
    finally:
        board.ask("cont")
    with closing(Machine(with_getty, tmp_path, append="root=/dev/nope rootwait")) as waiting:
        until(waiting, rb"Linux version")
        assert told(waiting) is State.KERNEL


@pytest.fixture
def prompt(board: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("ROOTFS_TOOL_PASSWORD", "secret")
    await_prompt(Stream(board), LINE, time.monotonic() + 60)
    return board


@pytest.fixture
def notes() -> Iterator[list[str]]:
    said: list[str] = []

    def hear(event: Event) -> None:
        said.append(event.text)

    with listening(hear):
        yield said


HANGS = b"sh -c \"trap '' INT QUIT TSTP HUP; stty raw -echo; while :; do sleep 1; done\"\r"


def test_what_nothing_wakes_comes_back_by_a_break_and_sysrq(
    prompt: Machine, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rootfs_tool.shell.login._KEY", 0.2)
    prompt.write(HANGS)
    until(prompt, rb"done\"\r+\n")
    assert told(prompt) is State.PROGRAM
    stream = Stream(prompt)
    restart: Callable[[], object] = lambda: reset(prompt, LINE, way=Way.SYSRQ)  # noqa: E731
    await_prompt(stream, LINE, time.monotonic() + 60, Allowed(restart=restart))
    assert any("starting the board anew" in note for note in notes)
