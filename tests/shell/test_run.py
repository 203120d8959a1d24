"""One command on a board: its bytes, its status, and that it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConfigError, ConsoleError, ConsoleTimeout
from rootfs_tool.shell import Shell
from tests.shell.boards import Mislabels, attached


@pytest.fixture
def shell(program: str) -> Iterator[Shell]:
    with attached(program) as shell:
        yield shell


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("true", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("sh -c 'kill -TERM $$'", 128 + signal.SIGTERM),
        ("kill -INT $$", 128 + signal.SIGINT),
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("no-such-program", 127),
        ("if", 2),
    ],
)
def test_status_is_the_commands_own(shell: Shell, command: str, status: int) -> None:
    assert shell.run(command).status == status
    assert shell.run("echo here").output == b"here\n"


HOSTILE = '\t\\n \\\\ \\0101 %b % # " $HOME `ls` $(ls) ! ~ \x03\x04\x7f\x11\x15 grün 日本  '
EVERY_BYTE = "".join(f"\\{byte:03o}" for byte in range(256))


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("true", b""),
        ("echo; echo", b"\n\n"),
        ("printf 'no newline'", b"no newline"),
        (f"printf '{EVERY_BYTE}'", bytes(range(256))),
        ("printf 'a\\r\\nb\\r\\n'", b"a\r\nb\r\n"),
        ("printf '# '; printf '\\n~ # \\033[6n'; printf '$ '", b"# \n~ # \x1b[6n$ "),
        ("echo out; echo err >&2", b"out\nerr\n"),
        ("echo 'line 1\nline 2'\necho 3", b"line 1\nline 2\n3\n"),
        (f"printf %s '{HOSTILE}'", HOSTILE.encode()),
        (" printf %s \\ ", b" "),
        ("cat", b""),
        ("printf '\\n\\036E abc 1 0 -|1 0 - E\\n'", b"\n\x1eE abc 1 0 -|1 0 - E\n"),
        ("printf '[    1.000001] a driver says\\r\\n'", b"[    1.000001] a driver says\r\n"),
        ("printf 'U-Boot 2025.01\\n'", b"U-Boot 2025.01\n"),
        ("echo 'reboot: Restarting system'", b"reboot: Restarting system\n"),
        ("echo 'Kernel panic - not syncing: no'", b"Kernel panic - not syncing: no\n"),
    ],
)
def test_output_is_byte_for_byte(shell: Shell, command: str, output: bytes) -> None:
    result = shell.run(command)
    assert (result.status, result.output) == (0, output)


def test_an_answer_of_our_own_in_the_output(shell: Shell) -> None:
    mark = shell._wire.mark
    printed = f"\n\x1eE {mark} 1 0 -|1 0 - E\n\n\x1eB {mark} 2 0 x|2 0 x B\n\n\x1eN {mark} 0|0 N\n"
    result = shell.run("printf '" + printed.replace("\n", "\\n").replace("\x1e", "\\036") + "'")
    assert result.output == printed.encode()


def test_a_megabyte_is_whole_and_quick(shell: Shell, tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    (tmp_path / "data").write_bytes(data)
    begun = time.monotonic()
    assert shell.run(f"cat {tmp_path}/data").output == data
    assert time.monotonic() - begun < 5
    assert (
        shell.run(f"head -c 300000 {tmp_path}/data", on_output=lambda _: None).output
        == (data[:300000])
    )


@pytest.mark.parametrize("size", [2990, 3001, 5000, 40000, 65000])
def test_long_commands_arrive_whole(shell: Shell, size: int) -> None:
    word = ("0123456789" * 7000)[:size]
    assert shell.run(f"printf %s {word}").output == word.encode()
    assert shell.run("echo short").output == b"short\n"


@pytest.mark.parametrize("command", ["sleep 1000", "trap '' INT TERM HUP; seq 30; sleep 1000"])
def test_a_command_that_never_ends(shell: Shell, tmp_path: Path, command: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConsoleTimeout, match=r"did not end within 0\.3 s") as caught:
        shell.run(f"echo $$ >{tmp_path}/pid; {command}", timeout=0.3)
    assert time.monotonic() - begun < 3
    assert ("30" in caught.value.tail) == ("seq" in command)
    process = int((tmp_path / "pid").read_text())
    assert _ends(process)
    assert shell.run("echo next").output == b"next\n"


def test_a_command_that_writes_faster_than_the_line_takes_is_ended(shell: Shell) -> None:
    begun = time.monotonic()
    with pytest.raises(ConsoleTimeout, match="did not end within 1 s"):
        shell.run("head -c 90000000 /dev/zero; sleep 100", timeout=1, on_output=lambda _: None)
    assert time.monotonic() - begun < 10
    assert shell.run("echo next").output == b"next\n"


def _ends(process: int) -> bool:
    """Whether it is gone, now or in a moment: SIGKILL does not wait for its work."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
    return False


def test_what_is_left_in_the_background_stays(shell: Shell, tmp_path: Path) -> None:
    shell.run(f"(while [ ! -e {tmp_path}/stop ]; do sleep 0.05; echo tick; done; echo end) & ")
    first = shell.run("echo first")
    shell.run(f"touch {tmp_path}/stop")
    assert first.output == b"first\n"


def test_output_comes_while_the_command_runs(shell: Shell, tmp_path: Path) -> None:
    """The command waits for what we do with its first line: it must reach us before the end."""
    pieces: list[bytes] = []

    def went_on(data: bytes) -> None:
        pieces.append(data)
        (tmp_path / "seen").touch()

    command = f"echo one; while [ ! -e {tmp_path}/seen ]; do sleep 0.01; done; seq 2000; exit 3"
    result = shell.run(command, on_output=went_on, timeout=10)
    assert result.status == 3
    assert pieces[0] == b"one\n"
    assert b"".join(pieces) == result.output
    assert result.output == b"one\n" + b"".join(b"%d\n" % number for number in range(1, 2001))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_ctrl_c_leaves_nothing_running(
    shell: Shell, tmp_path: Path, error: type[BaseException]
) -> None:
    def interrupt(data: bytes) -> None:
        raise error

    with pytest.raises(error):
        shell.run(f"echo $$ | tee {tmp_path}/pid; sleep 1000", on_output=interrupt)
    assert _ends(int((tmp_path / "pid").read_text()))
    assert shell.run("echo next").output == b"next\n"


@pytest.mark.parametrize("command", ["", " \n", "echo \0", "echo " + 70000 * "x"])
def test_what_is_not_a_command(shell: Shell, command: str) -> None:
    with pytest.raises(ConfigError, match="not a command"):
        shell.run(command)


def test_nothing_is_left_on_the_board(program: str, tmp_path: Path) -> None:
    with attached(program) as shell:
        shell.run("echo output")
        assert list(tmp_path.glob(".rootfs-tool*"))
    assert not list(tmp_path.glob(".rootfs-tool*"))
    shell.leave()  # and again is no harm


def test_a_command_that_kills_what_waits_for_it(shell: Shell) -> None:
    assert shell.run("echo out; kill -9 $PPID; sleep 0.1", timeout=10).status == 137
    assert shell.run("echo next").output == b"next\n"


def test_a_late_command_is_named_without_what_goes_before_it(shell: Shell) -> None:
    with pytest.raises(ConsoleTimeout, match=r"^`echo said >&2; sleep 100` did not end"):
        shell.run("echo said >&2; sleep 100", timeout=0.5, apart=True, environment={"A": "b"})


@pytest.mark.parametrize("damaged", [False, True])
def test_output_that_has_gone_is_not_that_of_the_command_before(
    program: str, damaged: bool
) -> None:
    """As when a command is asked for its output before it has made the file for it."""

    def relay(console: Console) -> Console:
        return Mislabels(console, "D", "X") if damaged else console

    with attached(program, relay) as shell:
        assert shell.run("echo the command before", on_output=lambda _: None).text
        came: list[bytes] = []
        files = shell.scratch("x").removesuffix(".x")
        with pytest.raises(ConsoleError, match="is cut"):
            shell.run(f"rm -f {files}-[0-9]*; sleep 0.5", on_output=came.append)
        assert came == []


def test_errors_are_not_those_of_the_command_before(shell: Shell, tmp_path: Path) -> None:
    came: list[bytes] = []
    assert shell.run("echo before >&2", on_error=came.append, apart=True).errors == b"before\n"
    sh = tmp_path / "bin" / "sh"
    program = sh.readlink()
    sh.unlink()
    applet = "sh" if program.name == "busybox" else ""
    sh.write_text(f'#!/bin/sh\nsleep 0.5\n{program} {applet} "$@"\n')
    sh.chmod(0o755)
    came.clear()
    shell.run("true", on_error=came.append, apart=True)
    assert came == []
