"""``rootfs-tool log``: the lines of a board, their times, and what ends it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import PROGRAM, rootfs_tool
from tests.conftest import CHECKOUT
from tests.terminal.uart import uart

COUNTS = "exec:sh -c 'n=0; while :; do n=$((n+1)); echo line $n; done'"


@pytest.fixture
def talks(tmp_path: Path) -> str:
    """A board that says a few lines that are not plain text, and then waits to be asked."""
    (tmp_path / "board.sh").write_text(
        r"printf 'U-Boot\r\n\033[1mgr\303\274n\033[0m \377\302\233 10%%\r20%%\n\nlogin: '"
        "; sleep 1000"
    )
    return f"exec:sh {tmp_path}/board.sh"


def test_until_a_prompt_that_ends_no_line(talks: str) -> None:
    done = rootfs_tool("log", "--console", talks, "--until", "^login: $")
    assert done.status == 0, done.stderr
    stamped = [re.fullmatch(r"\[(\d\d:\d\d:\d\d\.\d{3})\] (.*)", one) for one in lines(done.stdout)]
    assert [one[2] for one in stamped if one] == [
        *("U-Boot", r"\x1b[1mgrün\x1b[0m \xff\x9b 10%\x0d20%", "", "login: ")
    ]
    assert "listening to exec:sh" in done.stderr


def test_json(talks: str) -> None:
    before = time.time()
    done = rootfs_tool("log", "--console", talks, "--until", "login", "--json")
    rows = [json.loads(line) for line in lines(done.stdout)]
    assert [row["text"] for row in rows][::3] == ["U-Boot", "login: "]
    times = [row["time"] for row in rows]
    assert before < times[0] <= times[-1] < time.time()
    assert times == sorted(times)


def test_what_does_not_come_in_time(talks: str) -> None:
    done = rootfs_tool("log", "--console", talks, "--until", "nope", "--seconds", "0.2")
    assert done.status == 7
    assert "error: 'nope' did not come within 0.2 s" in done.stderr
    assert "login: \n" in done.stdout


@pytest.mark.parametrize("form", ["24h", "start", "delta", "iso8601"])
def test_an_end_by_time_and_a_file_that_grows(tmp_path: Path, form: str) -> None:
    file = tmp_path / "board.log"
    file.write_text("before\n")
    ending = ("--seconds", "0.2", "--timestamp", form)
    done = rootfs_tool("log", "--console", COUNTS, "-o", file, *ending)
    assert (done.status, done.stdout) == (0, "")
    first, *counted = lines(file.read_text())
    assert first == "before"
    times = []
    for number, line in enumerate(counted[:-1], start=1):
        match = re.fullmatch(r"\[ *(\S+)\] line (\d+)", line)
        assert match is not None
        assert int(match[2]) == number
        times.append(match[1])
    if form == "delta":
        assert all(float(one) >= 0 for one in times)
    elif form == "start":
        assert times == sorted(times, key=float)
    else:
        assert times == sorted(times)


def test_ctrl_c_ends_it_well(talks: str, tmp_path: Path) -> None:
    file = tmp_path / "board.log"
    with started("--console", talks, "-o", file) as logging:
        wait_for(file, "login: ")
        logging.send_signal(signal.SIGINT)
        assert logging.wait(20) == 0
    assert file.read_text().endswith("login: \n")


def test_what_was_said_survives_kill_9(tmp_path: Path) -> None:
    file = tmp_path / "board.log"
    with started("--console", COUNTS, "-o", file) as logging:
        wait_for(file, "line 500\n")
        logging.kill()
        logging.wait(20)
    *kept, _ = file.read_text().split("\n")
    assert len(kept) >= 500
    assert [line.partition("] ")[2] for line in kept] == [
        f"line {number}" for number in range(1, len(kept) + 1)
    ]


def test_what_goes_wrong_is_noted_beside_it() -> None:
    recorded = CHECKOUT / "tests" / "data" / "console" / "panic.log"
    done = rootfs_tool("log", "--console", f"exec:cat {recorded}")
    assert "note: the kernel panicked: " in done.stderr
    assert "note:" not in done.stdout


def test_another_program_may_use_the_console_that_is_logged(tmp_path: Path) -> None:
    file = tmp_path / "board.log"
    with (
        uart("env 'PS1=# ' sh -i", 1 << 20) as line,
        started("--console", line.device, "-o", file) as logging,
    ):
        done = rootfs_tool("exec", "--console", line.device, "--", "echo $((6*7))")
        assert (done.status, done.stdout) == (0, "42\n"), done.stderr
        logging.send_signal(signal.SIGINT)
        assert logging.wait(20) == 0
    assert "42" in file.read_text()


def test_a_console_that_ends_and_a_pattern_that_is_none() -> None:
    ended = rootfs_tool("log", "--console", "exec:echo bye", "--timestamp", "start")
    assert ended.status == 7
    assert ended.stdout.endswith("] bye\n")
    assert "has closed" in ended.stderr
    wrong = rootfs_tool("log", "--console", "exec:sh", "--until", "(")
    assert wrong.status == 2
    assert "regular expression" in wrong.stderr


@contextmanager
def started(*argv: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """``rootfs-tool log``, once it listens; it would do so for ever."""
    with subprocess.Popen([PROGRAM, "log", *argv], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline().startswith(b"listening to ")
            yield process
        finally:
            process.kill()


def lines(text: str) -> list[str]:
    assert text.endswith("\n")
    return text[:-1].split("\n")


def wait_for(file: Path, words: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not file.exists() or words not in file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
