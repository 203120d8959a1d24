"""Fetching and running programs on a board that is this host's BusyBox with a /tmp of 2 MiB."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rootfs_tool.checks.base import Bench, CheckFailed
from rootfs_tool.checks.program import Program
from rootfs_tool.checks.spawn import Spawn
from rootfs_tool.events import Event, listening

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

Start = Callable[..., Bench]


@pytest.fixture
def scripts(tmp_path: Path) -> Callable[[str], Path]:
    def written(body: str) -> Path:
        path = tmp_path / "a script's name"
        path.write_text(f"#!/bin/sh\n{body}\n")
        return path

    return written


def start_with(board: Start, file: Path) -> Bench:
    return board(served={file.name: file}, net="")


def refused(check: Program | Spawn, bench: Bench) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        check.run(bench)
    return caught.value


def test_arguments_output_and_status(board: Start, scripts: Callable[[str], Path]) -> None:
    file = scripts('printf "%s\\n" "$@"; exit 5')
    heard: list[Event] = []
    arguments = ("two  words", "$HOME", "it's", "*", "")
    with listening(heard.append):
        found = Program(file=file, arguments=arguments, status=5).run(start_with(board, file))
    assert found.startswith("exited 5 after")
    said = "".join(event.text for event in heard if event.kind == "output")
    assert said == "two  words\n$HOME\nit's\n*\n\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [("exit 3", "exited 3"), ("kill -SEGV $$", "segmentation fault"), ("nosuch", "not found")],
)
def test_a_bad_end_is_told_in_words(
    board: Start, scripts: Callable[[str], Path], body: str, words: str
) -> None:
    file = scripts(body)
    assert words in str(refused(Program(file=file), start_with(board, file)))


def test_a_program_that_hangs_is_killed(board: Start, scripts: Callable[[str], Path]) -> None:
    file = scripts("trap '' INT TERM HUP; while :; do sleep 1; done")
    bench = start_with(board, file)
    error = refused(Program(file=file, timeout=0.5), bench)
    assert "did not end within 0.5 s" in str(error)
    assert bench.shell.run("echo fine").text == "fine\n"


def test_a_full_board(board: Start, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"#!/bin/sh\n" + os.urandom(3 << 20))
    error = refused(Program(file=file), start_with(board, file))
    assert "/tmp has no room" in str(error)
    assert ": 3073 KiB" in str(error)


def test_a_board_that_fills_up_meanwhile(board: Start, tmp_path: Path) -> None:
    """The room is there when it is asked for, but df here tells of another file system."""
    file = tmp_path / "large"
    file.write_bytes(b"#!/bin/sh\n" + os.urandom(3 << 20))
    bench = start_with(board, file)
    bench.shell.run("rm $(which df)")
    error = refused(Program(file=file), bench)
    assert "/tmp has no room" in str(error)
    assert bench.shell.run("ls /tmp").text == ""


def test_no_server_in_sight(board: Start, scripts: Callable[[str], Path]) -> None:
    file = scripts("exit 0")
    error = refused(Program(file=file), board(served={file.name: file}))
    assert "did not arrive" in str(error)
    assert "firewall" in str(error.hint)


def test_a_spawned_program_runs_on_and_leaves_its_log(
    board: Start, scripts: Callable[[str], Path]
) -> None:
    file = scripts('echo "started with $1"; while [ ! -e /tmp/stop ]; do sleep 0.05; done; exit 4')
    bench = start_with(board, file)
    check = Spawn(file=file, arguments=("a b",))
    assert check.run(bench).startswith("running, pid ")
    assert check.log(bench) == "started with a b\n"
    assert check.ended(bench) is None
    bench.shell.run("touch /tmp/stop; while [ ! -e '/tmp/a script'\\''s name.status' ]; do :; done")
    assert check.ended(bench) == 4


def test_a_spawned_program_that_ends_at_once(board: Start, scripts: Callable[[str], Path]) -> None:
    file = scripts("echo no luck; exit 9")
    error = refused(Spawn(file=file), start_with(board, file))
    assert "ended at once with status 9" in str(error)
    assert "no luck" in str(error)
