"""A console that a program has: what is pressed to end it, and what a person is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import Hung
from rootfs_tool.events import Event, listening
from rootfs_tool.shell import Shell, login, sights
from rootfs_tool.shell.login import Allowed
from rootfs_tool.shell.sights import State, classify
from rootfs_tool.shell.stream import Stream
from tests.shell.boards import LINE, until

PROMPT = b"\x1b[6n"  # BusyBox's line editor asks with every prompt


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a person is told, where nobody has to be waited for as long as on a board."""
    monkeypatch.setenv("TERM", "vt100")
    monkeypatch.setattr(login, "_PAUSES", (0.2, 0.2, 0.4, 0.2))
    monkeypatch.setattr(login, "_STILL", 0.4)
    monkeypatch.setattr(login, "_KEY", 0.3)
    said: list[str] = []

    def hear(event: Event) -> None:
        said.append(event.text)

    with listening(hear):
        yield said


@pytest.fixture
def board() -> Iterator[ProcessConsole]:
    with closing(ProcessConsole("busybox sh")) as console:
        until(console, PROMPT)
        yield console


STUBBORN = (
    f"{sys.executable} -c 'import signal as s, time\n"
    "for one in (s.SIGINT, s.SIGTSTP%s): s.signal(one, s.SIG_IGN)\n"
    'print("run" + "ning")\n'
    "while True: time.sleep(1)'"
)


@pytest.mark.parametrize(
    ("command", "shown", "keys"),
    [
        ("sleep 1000", "1000\r", "it was ended (Ctrl-C)"),
        ("cat", "cat\r", "it was ended (Ctrl-C)"),
        ("busybox top", "Mem:", "it was ended (Ctrl-C)"),
        ("seq 99 | busybox less", "\x1b[7m", "it was left (q)"),
        ("seq 99 | busybox more", "--More--", "it was left (q)"),
        ("busybox vi {file}", "text", "(Ctrl-Z)"),
        ("trap '' INT; sleep 1000", "1000\r", "`fg` there goes on with it (Ctrl-Z)"),
        (STUBBORN % "", "running", "it was killed (Ctrl-\\)"),
    ],
)
def test_it_makes_room(
    board: ProcessConsole, notes: list[str], tmp_path: Path, command: str, shown: str, keys: str
) -> None:
    file = tmp_path / "file"
    file.write_text("text\n")
    board.write(command.replace("{file}", str(file)).encode() + b"\r")
    until(board, shown.encode())
    shell = Shell.attach(board, LINE, timeout=20)
    assert shell.run("echo here").text == "here\n"
    shell.leave()
    assert [one for one in notes if "a program had the console" in one and one.endswith(keys)]
    assert file.read_text() == "text\n"


def test_unsaved_text_is_still_there(
    board: ProcessConsole, notes: list[str], tmp_path: Path
) -> None:
    board.write(f"cd {tmp_path}; busybox vi file\r".encode())  # a long path takes a key to be read
    until(board, b"~")
    board.write(b"ihalf a letter")
    until(board, b"letter")
    shell = Shell.attach(board, LINE, timeout=20)
    shell.leave()
    until(board, PROMPT)
    board.write(b"fg\r")
    until(board, b"letter")
    board.write(b":wq\r")
    until(board, PROMPT)
    assert (tmp_path / "file").read_text() == "half a letter\n"


def test_who_never_stops_talking_is_ended(
    board: ProcessConsole, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_TALKS", 1.5)
    board.write(b"while :; do echo tick; sleep 0.02; done\r")
    until(board, b"tick\r")
    shell = Shell.attach(board, LINE, timeout=20)
    assert shell.run("echo here").text == "here\n"
    shell.leave()


def test_what_nothing_ends_is_hung(board: ProcessConsole, notes: list[str]) -> None:
    board.write((STUBBORN % ", s.SIGQUIT").encode() + b"\r")
    until(board, b"running")
    begun = time.monotonic()
    with pytest.raises(Hung, match=r"Ctrl-C, Ctrl-Z, q, Ctrl-\\, :q!, Ctrl-X n, Ctrl-D did") as no:
        Shell.attach(board, LINE, timeout=60)
    assert time.monotonic() - begun < 15
    assert "rootfs-tool reset --sysrq" in str(no.value.hint)
    assert no.value.exit_code == 7


def test_what_nothing_ends_is_started_anew_where_that_is_allowed(
    board: ProcessConsole, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_WAKE", 0.3)
    board.write((STUBBORN % ", s.SIGQUIT").encode() + b"\r")
    until(board, b"running")
    fresh = ProcessConsole("busybox sh")

    def restart() -> None:
        board._descriptor, fresh._descriptor = fresh._descriptor, board._descriptor
        board._child, fresh._child = fresh._child, board._child

    with closing(fresh):
        shell = Shell.attach(board, LINE, timeout=30, allowed=Allowed(restart=restart))
        assert shell.run("echo here").text == "here\n"
        shell.leave()
        assert any("starting the board anew" in one for one in notes)


@pytest.mark.parametrize(
    ("typed", "shown", "state"),
    [
        ("", "", State.SHELL),
        ("touch half typed", "typed", State.SHELL),
        ("echo 'open\r", "> ", State.CONTINUATION),
        ("sleep 1000\r", "1000\r", State.PROGRAM),
        ("busybox vi /etc/passwd\r", "root:", State.PROGRAM),
        ("seq 99 | busybox less\r", "\x1b[7m", State.PAGER),
        ("stty -echo raw; exec sleep 1000\r", "1000\r", State.DEAD),
    ],
)
def test_it_is_told_within_five_seconds(
    board: ProcessConsole, typed: str, shown: str, state: State, tmp_path: Path
) -> None:
    board.write(typed.encode())
    until(board, shown.encode())
    begun = time.monotonic()
    assert classify(Stream(board), begun + 5) is state
    assert time.monotonic() - begun < 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("delay", [3, 30])
def test_a_login_s_prompts(tmp_path: Path, delay: int) -> None:
    """Of a password that somebody else was asked for, too; the answer to it takes its time."""
    board = tmp_path / "board.sh"
    board.write_text(
        "while :; do printf 'board login: '; read -r user\n"
        "case $user in *[a-z]*) ;; *) continue ;; esac\n"
        f"stty -echo; printf 'Password: '; read -r _; stty echo; echo; sleep {delay}\n"
        "echo 'Login incorrect'; done\n"
    )
    with closing(ProcessConsole(f"sh {board}")) as console:
        until(console, b"login: ")
        assert classify(Stream(console), time.monotonic() + 5) is State.LOGIN
        console.write(b"root\r")
        until(console, b"Password: ")
        begun = time.monotonic()
        assert classify(Stream(console), begun + 5) is State.PASSWORD
        assert time.monotonic() - begun < 5


def test_an_answer_of_the_kernel_s_is_no_prompt() -> None:
    assert sights.sight(b"[    1.000000] sysrq: HELP : loglevel(0-9)\r\n") is None
