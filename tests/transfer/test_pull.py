"""Files from real shells, over lines that are clean, bad or cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConfigError, ConsoleError
from rootfs_tool.transfer import fetch, get
from tests.shell.boards import KernelTalks, Lossy, OneByteAtATime, Relay, attached
from tests.transfer.test_push import EVERY, RANDOM, TEXT

PANIC = b"[    3.1] Kernel panic - not syncing: only quoted\r\nU-Boot 2025.01\n" * 20


def test_it_comes_as_it_is(program: str, tmp_path: Path) -> None:
    file = tmp_path / "it's there"
    with attached(program) as shell:
        for content in (b"", b"\n", EVERY, RANDOM, TEXT, PANIC):
            file.write_bytes(content)
            assert get(shell, str(file)) == content


def test_a_file_keeps_its_name_and_mode(tmp_path: Path) -> None:
    file, here = tmp_path / "run me", tmp_path / "here"
    file.write_bytes(TEXT)
    file.chmod(0o751)
    here.mkdir()
    with attached("busybox sh") as shell:
        got = fetch(shell, str(file), here)
        assert got.path == here / "run me"
        assert got.passed < len(TEXT) / 3
        assert fetch(shell, str(file), here / "other").size == len(TEXT)
    assert got.path.stat().st_mode & 0o7777 == 0o751
    assert sorted(one.name for one in here.iterdir()) == ["other", "run me"]


def test_what_has_no_size_of_its_own() -> None:
    with attached("busybox sh") as shell:
        assert get(shell, "/proc/version") == Path("/proc/version").read_bytes()


@pytest.mark.parametrize(
    "relay",
    [
        OneByteAtATime,
        lambda console: Lossy(console, seed=3, to_board=1500),
        lambda console: Lossy(console, seed=3, from_board=1000),
        lambda console: KernelTalks(console, seed=3, distance=1000),
    ],
    ids=["one byte at a time", "lost on the way", "lost on the way back", "the kernel talks"],
)
def test_a_bad_line(tmp_path: Path, relay: Callable[[Console], Console]) -> None:
    (tmp_path / "file").write_bytes(EVERY)
    with attached("busybox sh", relay) as shell:
        assert get(shell, str(tmp_path / "file")) == EVERY


class SevenBits(Relay):
    def read(self, timeout: float) -> bytes:
        return bytes(byte & 0x7F for byte in super().read(timeout))


def test_a_line_of_seven_bits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(EVERY[:1000])
    with attached("busybox sh", SevenBits) as shell:
        assert get(shell, str(tmp_path / "file")) == EVERY[:1000]


def test_a_board_with_few_applets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    for name in ("sh", "dd", "stty", "cat", "rm", "tail", "setsid", "wc", "od", "cksum"):
        (programs / name).symlink_to(shutil.which(name) or "")
    (tmp_path / "file").write_bytes(TEXT + PANIC)
    monkeypatch.setenv("PATH", str(programs))
    with attached("sh -i") as shell:
        assert get(shell, str(tmp_path / "file")) == TEXT + PANIC


class Interrupts(Relay):
    """Somebody presses Ctrl-C when ``after`` bytes have come."""

    def __init__(self, console: Console, after: int) -> None:
        super().__init__(console)
        self.after = after

    def read(self, timeout: float) -> bytes:
        came = super().read(timeout)
        before, self.after = self.after, self.after - len(came)
        if before >= 0 > self.after:
            raise KeyboardInterrupt
        return came


def test_ctrl_c_leaves_a_shell_and_what_came_so_far(program: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(RANDOM)
    with attached(program, lambda console: Interrupts(console, 40_000)) as shell:
        with pytest.raises(KeyboardInterrupt):
            fetch(shell, str(tmp_path / "file"), tmp_path / "here")
        assert shell.run("echo usable; exit 3").output == b"usable\n"
        (part,) = tmp_path.glob(".here.*.part")
        there = part.stat().st_size
        assert 0 < there < len(RANDOM)
        got = fetch(shell, str(tmp_path / "file"), tmp_path / "here")
        assert got.passed < (len(RANDOM) - there) * 1.1
    assert (tmp_path / "here").read_bytes() == RANDOM


@pytest.mark.parametrize(
    ("path", "words"),
    [("/no/such", "has no /no/such"), ("/dev/null", "not a regular"), ("/usr", "is a directory")],
)
def test_what_cannot_be_pulled(path: str, words: str) -> None:
    with attached("busybox sh") as shell, pytest.raises(ConfigError, match=words) as caught:
        get(shell, path)
    assert "mkdir" not in (caught.value.hint or "")


class Changes(Relay):
    """Something writes to the ``file`` on the board when ``after`` bytes have come."""

    def __init__(self, console: Console, file: Path, after: int, content: bytes) -> None:
        super().__init__(console)
        self.file = file
        self.after = after
        self.content = content

    def read(self, timeout: float) -> bytes:
        came = super().read(timeout)
        before, self.after = self.after, self.after - len(came)
        if before >= 0 > self.after:
            self.file.write_bytes(self.content)
        return came


def test_a_log_that_grows_comes_as_long_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(RANDOM)
    with attached(
        "busybox sh", lambda console: Changes(console, file, 20_000, RANDOM + TEXT)
    ) as shell:
        assert get(shell, str(file)) == RANDOM


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(RANDOM)
    with attached(
        "busybox sh", lambda console: Changes(console, file, 20_000, RANDOM[::-1])
    ) as shell:
        with pytest.raises(ConsoleError, match="changed while it was read"):
            get(shell, str(file))
        assert shell.run("echo here").text == "here\n"
