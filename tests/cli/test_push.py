"""Files to a board and back, as a person sends them."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.command import PROGRAM, rootfs_tool
from tests.shell.line import pty_board
from tests.shell.noise import Faults
from tests.transfer.test_push import with_few

BOARD = ("--console", "exec:sh -i")
CONTENT = random.Random(2).randbytes(60_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "a file"
    made.write_bytes(CONTENT)
    return made


def test_there_and_back(tmp_path: Path, file: Path) -> None:
    board, here = tmp_path / "board", tmp_path / "here"
    board.mkdir()
    here.mkdir()
    (tmp_path / "other").write_text("other\n")
    ran = rootfs_tool("push", *BOARD, "--over", "line", file, tmp_path / "other", board)
    assert ran.status == 0, ran.said
    assert ran.stdout == f"{board}/a file\n{board}/other\n"
    assert "60,000 bytes, whole as sha256sum says" in ran.stderr
    ran = rootfs_tool("pull", *BOARD, board / "a file", board / "other", here)
    assert ran.status == 0, ran.said
    assert ran.stdout == f"{here}/a file\n{here}/other\n"
    assert (here / "a file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("push", "/no/such/file"), 2, "/no/such/file is not there"),
        (("push", "/usr", "/tmp"), 2, "/usr is not a regular file"),
        (("push", "/etc/passwd", "/no/such/place/"), 2, "the board has no /no/such/place/"),
        (("push", "/etc/passwd", "/etc/group", "/etc/passwd"), 2, "the board has no /etc/passwd/"),
        (("push", "--to-uboot", "here", "/etc/passwd"), 2, "here is no address"),
        (("pull", "/etc/passwd", "/etc/group", "/no/such"), 2, "/no/such is not a directory"),
        (("pull", "/no/such"), 2, "the board has no /no/such"),
        (("pull", "/etc/passwd", "/no/such/place"), 2, "/no/such/place"),
        (("pull", "/etc/passwd", "/usr/passwd", "/tmp"), 2, "2 files are called passwd"),
        (("push", "/etc/passwd", "/etc/../etc/passwd", "/tmp"), 2, "2 files are called passwd"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], status: int, said: str) -> None:
    ran = rootfs_tool(words[0], *BOARD, *words[1:])
    assert (ran.status, said in ran.stderr) == (status, True), ran.said


def test_over_its_network(tmp_path: Path, file: Path) -> None:
    """BusyBox's tftp on this very host, which asks an address of ours that is not the loopback."""
    said = subprocess.check_output(["ip", "-4", "-o", "addr"], text=True)
    if all(" 127." in line for line in said.splitlines()):
        pytest.skip("this host has no address but the loopback's")
    board = ("--console", "exec:busybox sh", "--over", "tftp")
    there, back = tmp_path / "the b's", tmp_path / "back"
    ran = rootfs_tool("push", *board, file, there)
    assert ran.status == 0, ran.said
    assert "60,000 bytes by TFTP, whole" in ran.stderr
    assert there.read_bytes() == CONTENT
    there.chmod(0o600)
    ran = rootfs_tool("pull", *board, there, back)
    assert ran.status == 0, ran.said
    assert "60,000 bytes by TFTP, whole" in ran.stderr
    assert (back.read_bytes(), back.stat().st_mode & 0o777) == (CONTENT, 0o600)
    assert {one.name for one in tmp_path.iterdir()} == {file.name, there.name, back.name}


def test_a_network_that_brings_less_than_all(tmp_path: Path, file: Path) -> None:
    """A board's tftp that fetches a test's few bytes and no file."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "tftp").write_text(
        '#!/bin/sh\ncase $* in *" -l - "*) exec busybox tftp "$@" ;; esac\n'
        'echo "tftp: server error: (3) no room" >&2\nexit 1\n'
    )
    (programs / "tftp").chmod(0o755)
    said = subprocess.check_output(["ip", "-4", "-o", "addr"], text=True)
    if all(" 127." in line for line in said.splitlines()):
        pytest.skip("this host has no address but the loopback's")
    board = ("--console", f"exec:env PATH={programs}:/usr/bin:/bin dash -i")
    ran = rootfs_tool("push", *board, "--over", "tftp", file, tmp_path / "b")
    assert ran.status == 7, ran.said
    assert "TFTP did not bring it: tftp: server error: (3) no room" in ran.stderr
    (tmp_path / "larger").write_bytes(CONTENT * 2)
    ran = rootfs_tool("push", *board, tmp_path / "larger", tmp_path / "b")
    assert ran.status == 0, ran.said
    assert "no room; it goes over the line" in ran.stderr
    assert (tmp_path / "b").read_bytes() == CONTENT * 2


def test_a_board_without_a_network(tmp_path: Path, file: Path) -> None:
    board = f"exec:{with_few(tmp_path)}"
    ran = rootfs_tool("push", "--console", board, "--over", "tftp", file, tmp_path / "b")
    assert (ran.status, "does not reach a TFTP server" in ran.stderr) == (7, True), ran.said
    (tmp_path / "larger").write_bytes(CONTENT * 2)
    ran = rootfs_tool("push", "--console", board, tmp_path / "larger", tmp_path / "b")
    assert ran.status == 0, ran.said
    assert (tmp_path / "b").read_bytes() == CONTENT * 2
    ran = rootfs_tool("pull", "--console", board, "--over", "tftp", tmp_path / "b", tmp_path)
    assert (ran.status, "does not reach a TFTP server" in ran.stderr) == (7, True), ran.said
    assert {one.name for one in tmp_path.iterdir()} >= {file.name, "larger", "b"}
    assert not list(tmp_path.glob(".*.part"))


def test_a_push_that_is_killed_goes_on_from_there(tmp_path: Path, file: Path) -> None:
    disk, board = tmp_path / "disk", tmp_path / "board"
    disk.mkdir()
    disk.chmod(0o777)  # the board's shell is nobody's
    board.mkdir()
    with pty_board(board, Faults(rate=40_000)) as relay:
        words = ["push", "--console", relay.path, "--over", "line", str(file), str(disk)]
        first = subprocess.Popen(
            [PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _until_there(disk, 20_000)
        first.kill()
        first.wait()
        (part,) = disk.iterdir()
        there = part.stat().st_size
        ran = rootfs_tool(*words)
        assert ran.status == 0, ran.said
    assert there >= 20_000
    assert "is not the beginning" not in ran.stderr
    assert [one.name for one in disk.iterdir()] == ["a file"]
    assert (disk / "a file").read_bytes() == CONTENT


def _until_there(disk: Path, size: int) -> None:
    deadline = time.monotonic() + 60
    while sum(one.stat().st_size for one in disk.iterdir()) < size:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
