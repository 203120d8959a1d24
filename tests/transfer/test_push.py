"""Files to real shells, over lines that are clean, slow, bad or cut."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootfs_tool.console.base import Console
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConfigError, ConsoleError
from rootfs_tool.events import listening
from rootfs_tool.transfer import put
from tests.shell.boards import KernelTalks, Lossy, OneByteAtATime, Relay, attached

EVERY = bytes(range(256)) * 40
RANDOM = random.Random(1).randbytes(50_000)
TEXT = b"".join(b"%d is a number\n" % number for number in range(2000))


def test_it_is_there_as_it_was(program: str, tmp_path: Path) -> None:
    place = tmp_path / "a place" / "it's here"
    place.parent.mkdir()
    with attached(program) as shell:
        for content in (b"", b"\n", EVERY, RANDOM, TEXT):
            sent = put(shell, content, str(place), mode=0o750)
            assert place.read_bytes() == content
            assert place.stat().st_mode & 0o7777 == 0o750
            assert (sent.path, sent.size, sent.tool) == (str(place), len(content), "sha256sum")
        place.unlink()
        sent = put(shell, TEXT, str(place))
        assert (sent.packing, sent.passed < len(TEXT) / 4) == ("xz", True)
        assert put(shell, TEXT, str(place)).packing == "there"
    assert [file.name for file in place.parent.iterdir()] == [place.name]


def test_a_file_keeps_its_name_and_mode(tmp_path: Path) -> None:
    file, there = tmp_path / "run me", tmp_path / "there"
    file.write_text("#!/bin/sh\necho ran\n")
    file.chmod(0o755)
    there.mkdir()
    (there / "real").touch()
    (there / "link").symlink_to("real")
    with attached("busybox sh") as shell:
        assert put(shell, file, f"{there}/").path == f"{there}/run me"
        assert shell.run(f"'{there}/run me'").text == "ran\n"
        put(shell, b"through the link", f"{there}/link")
        assert (there / "real").read_bytes() == b"through the link"


def test_any_content(tmp_path: Path) -> None:
    with attached("dash -i") as shell:

        @settings(max_examples=25, deadline=None, derandomize=True)
        @given(content=st.binary(max_size=3000))
        def arrives(content: bytes) -> None:
            put(shell, content, str(tmp_path / "file"))
            assert (tmp_path / "file").read_bytes() == content

        arrives()


@pytest.mark.parametrize(
    "relay",
    [
        OneByteAtATime,
        lambda console: Lossy(console, seed=3, to_board=1000),
        lambda console: Lossy(console, seed=3, from_board=300),
        lambda console: KernelTalks(console, seed=3, distance=300),
    ],
    ids=["one byte at a time", "lost on the way", "lost on the way back", "the kernel talks"],
)
def test_a_bad_line(tmp_path: Path, relay: Callable[[Console], Console]) -> None:
    with attached("busybox sh", relay) as shell:
        put(shell, EVERY, str(tmp_path / "file"))
        assert (tmp_path / "file").read_bytes() == EVERY


class SevenBits(Relay):
    def write(self, data: bytes) -> None:
        super().write(bytes(byte & 0x7F for byte in data))


@pytest.mark.parametrize("missing", ["", "base64"])
def test_a_line_of_seven_bits(tmp_path: Path, missing: str) -> None:
    with attached(with_few(tmp_path, missing), SevenBits) as shell:
        put(shell, EVERY[:2000], str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == EVERY[:2000]


def test_flow_control_takes_two_bytes_away(tmp_path: Path) -> None:
    class Flow(Relay):
        def write(self, data: bytes) -> None:
            super().write(data.translate(None, b"\x11\x13"))

    with attached("busybox sh", Flow) as shell:
        put(shell, EVERY, str(tmp_path / "file"), flow_control=True)
    assert (tmp_path / "file").read_bytes() == EVERY


def test_a_boardwith_few_applets(tmp_path: Path) -> None:
    with attached(with_few(tmp_path, "base64 sha256sum md5sum")) as shell:
        sent = put(shell, TEXT, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == TEXT
    assert (sent.packing, sent.tool) == ("plain", "cksum")


def with_few(tmp_path: Path, missing: str = "") -> str:
    """A shell with a few programs, but for some: neither df nor gunzip is among them."""
    programs = tmp_path / "few"
    programs.mkdir()
    names = "sh dd stty cat rm tail setsid wc mv chmod head base64 cksum md5sum sha256sum"
    for name in set(names.split()) - set(missing.split()):
        (programs / name).symlink_to(shutil.which(name) or "")
    return f"env PATH={programs} sh -i"


def test_a_board_without_digests(tmp_path: Path) -> None:
    command = with_few(tmp_path, "cksum md5sum sha256sum")
    with attached(command) as shell, pytest.raises(ConsoleError, match="came whole") as caught:
        put(shell, TEXT, str(tmp_path / "file"))
    assert "sha256sum" in str(caught.value.hint)
    assert not list(tmp_path.glob("*file*"))


def test_another_way_that_fails(tmp_path: Path) -> None:
    def network(part: str) -> bool:
        Path(part).write_bytes(RANDOM[:100] + b"noise")
        return False

    with attached("busybox sh") as shell:
        assert put(shell, RANDOM, str(tmp_path / "file"), network=network).packing == "plain"
    assert (tmp_path / "file").read_bytes() == RANDOM


class Interrupts(Relay):
    """Somebody presses Ctrl-C when ``after`` bytes have been sent."""

    def __init__(self, console: Console, after: int) -> None:
        super().__init__(console)
        self.after = after

    def write(self, data: bytes) -> None:
        super().write(data)
        before, self.after = self.after, self.after - len(data)
        if before >= 0 > self.after:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_a_shell_and_what_came_so_far(program: str, tmp_path: Path) -> None:
    with attached(program, lambda console: Interrupts(console, 40_000)) as shell:
        with pytest.raises(KeyboardInterrupt):
            put(shell, RANDOM, str(tmp_path / "file"))
        assert shell.run("echo usable; exit 3").output == b"usable\n"
        (part,) = tmp_path.glob(".file.*.part")
        there = part.stat().st_size
        assert part.read_bytes() == RANDOM[:there]
        assert 10_000 < there < len(RANDOM)
        sent = put(shell, RANDOM, str(tmp_path / "file"))
        assert sent.passed < (len(RANDOM) - there) * 1.1
    assert (tmp_path / "file").read_bytes() == RANDOM


class Restarts(Relay):
    """A board that restarts when ``after`` bytes have come; while it boots it hears nothing."""

    def __init__(self, console: Console, after: int) -> None:
        super().__init__(console)
        self.after = after
        self._boot = b""

    def write(self, data: bytes) -> None:
        if self._boot:
            return
        super().write(data)
        before, self.after = self.after, self.after - len(data)
        if before >= 0 > self.after:
            self.console.close()
            self.console = ProcessConsole("busybox sh")
            self._boot = (
                b"\r\n[   99.1] reboot: Restarting system\r\n\r\nU-Boot 2025.01 (Jan 06)\r\n"
            )

    def read(self, timeout: float) -> bytes:
        said, self._boot = self._boot, b""
        return said or super().read(timeout)


def test_a_board_that_restarts_in_the_middle(tmp_path: Path) -> None:
    heard: list[str] = []
    with (
        listening(lambda event: heard.append(event.text)),
        attached("busybox sh", lambda console: Restarts(console, 40_000)) as shell,
    ):
        sent = put(shell, RANDOM, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == RANDOM
    assert sent.passed < 0.9 * len(RANDOM)
    assert [text for text in heard if "the board restarted" in text]


def test_a_beginning_that_is_another_s_is_not_kept(tmp_path: Path) -> None:
    digest = hashlib.sha256(RANDOM).hexdigest()[:12]
    (tmp_path / f".file.{digest}.part").write_bytes(b"something else")
    with attached("busybox sh") as shell:
        assert put(shell, RANDOM, str(tmp_path / "file")).passed > len(RANDOM)
    assert (tmp_path / "file").read_bytes() == RANDOM


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/no/such/place", "has no /no/such/place"),
        ("/dev/null", "not a regular file"),
        ("/usr", "is a directory"),
    ],
)
def test_a_place_that_cannot_be(place: str, words: str) -> None:
    with attached("busybox sh") as shell, pytest.raises(ConfigError, match=words):
        put(shell, b"content", place)


def test_no_such_file_here(tmp_path: Path) -> None:
    with attached("busybox sh") as shell:
        for file in (tmp_path / "nothing", tmp_path):
            with pytest.raises(ConfigError, match=str(file)):
                put(shell, file, "/tmp")


def _mounted(where: Path, options: str) -> None:
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], check=True)


@pytest.mark.root
@pytest.mark.parametrize("told", [True, False])
def test_a_full_place_has_nothing_half_left(tmp_path: Path, told: bool) -> None:
    """Whether df is there to tell before it is sent, or not."""
    room = tmp_path / "room"
    _mounted(room, "size=64k")
    try:
        with attached("busybox sh" if told else with_few(tmp_path)) as shell:
            with pytest.raises(ConsoleError, match="no room"):
                put(shell, RANDOM * 2, f"{room}/file")
            assert list(room.iterdir()) == []
            put(shell, RANDOM, f"{room}/file")
            assert (room / "file").read_bytes() == RANDOM
    finally:
        subprocess.run(["umount", room], check=True)


@pytest.mark.root
def test_a_place_that_is_read_only(program: str, tmp_path: Path) -> None:
    room = tmp_path / "room"
    _mounted(room, "ro")
    try:
        with attached(program) as shell, pytest.raises(ConsoleError, match="Read-only file sys"):
            put(shell, RANDOM, f"{room}/file")
    finally:
        subprocess.run(["umount", room], check=True)


def test_what_the_board_s_disk_changes_is_not_given_its_name(tmp_path: Path) -> None:
    """Such as one that is worn out: here chmod, which comes after the last block, stands for it."""
    changes = tmp_path / "bin" / "chmod"
    changes.parent.mkdir()
    changes.write_text('#!/bin/sh\nprintf X >>"$2"\n')
    changes.chmod(0o755)
    with attached(f"env PATH={changes.parent}:{os.environ['PATH']} dash -i") as shell:
        with pytest.raises(ConsoleError, match="did not arrive whole"):
            put(shell, EVERY, str(tmp_path / "file"))
        assert not list(tmp_path.glob("*file*"))
