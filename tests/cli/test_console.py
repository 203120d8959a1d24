"""``rootfs-tool console`` as a person uses it: the real program on a terminal, typed at."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rootfs_tool import __version__
from rootfs_tool.terminal.session import KEYS
from tests.command import PROGRAM, rootfs_tool
from tests.terminal.typist import PREFIX, typing
from tests.terminal.uart import FIFO, arrived, text, uart

SHELL = "exec:env 'PS1=# ' sh -i"
SIZE = 64 << 10


def test_a_board_gets_the_keys_and_the_terminal_its_settings_back() -> None:
    with typing("--console", SHELL) as person:
        person.until(b"# ")
        assert person.settings() != person.found
        person.type(b"echo $((6*7))\r")
        person.until(b"\n42\r\n# ")
        person.type(b"sh -c 'echo up; exec sleep 1000'\r")
        person.until(b"\nup\r\n")
        person.type(b"\x03")
        person.until(b"# ")
        person.type(b"printf '[%s]' " + PREFIX * 2 + b" | od -An -tx1\r")
        person.until(b"5b 14 5d")
        person.type(PREFIX + b"q")
        assert person.end() == 0
        assert person.settings() == person.found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals) -> None:
    with typing("--console", SHELL) as person:
        person.until(b"# ")
        person.process.send_signal(signal.SIGWINCH)
        person.type(b"echo $((6*7))\r")
        person.until(b"\n42\r\n")
        person.process.send_signal(number)
        assert person.end() == 128 + number
        assert person.settings() == person.found


def test_a_console_that_ends_says_so() -> None:
    with typing("--console", "exec:sh -c 'read line'") as person:
        person.type(b"\r")
        assert person.end() == 7
        assert person.settings() == person.found
        assert re.search(rb"error: \S*exec:sh -c 'read line' has closed", person.seen)


def test_what_the_board_says_is_shown_byte_for_byte() -> None:
    everything = "".join(f"\\{byte:03o}" for byte in range(256))
    with typing("--console", f"exec:sh -c 'stty raw; printf \"{everything}\"; sleep 9'") as person:
        assert person.until(b"\xfe\xff") == bytes(range(256))


def test_every_key_does_what_the_list_says(tmp_path: Path) -> None:
    with typing("--console", SHELL, directory=tmp_path) as person:
        person.until(b"# ")
        person.press(b"?", b"sends Ctrl-T\r\n")
        assert all(f"Ctrl-T {key} ".encode() in person.seen for key in KEYS)
        person.press(b"v", __version__.encode())
        person.press(b"b", b"can't carry a break")
        person.press(b"Bs", b"can't carry a break")
        person.press(b"r", b"hint: --board recipe.toml")
        person.press(b"z", b"z: no such key")
        person.press(b"l", b"\x1b[2J")
        person.press(b"p", b"paced paste: off\r\n")
        person.press(b"m", b"LF as CR LF: on\r\n")
        person.press(b"f", b"log: on, ")
        person.press(b"t", b"timestamps: 24h\r\n")
        person.type(b"stty -onlcr; echo a; echo b\r")
        assert re.search(rb"\] a\r\n\[[0-9:]{8}\.[0-9]{3}\] b\r\n", person.until(b"] b\r\n"))
        shown = person.press(b"c", b"paced paste  off")
        assert b"timestamps   24h\r\n" in shown
        assert b"LF as CR LF  on\r\n" in shown
        for form in (b"start", b"delta", b"iso8601", b"off"):
            person.press(b"t", b"timestamps: " + form + b"\r\n")
        person.press(b"f", b"log: off, ")
        person.press(b"h", b"hexadecimal: on\r\n")
        person.type(b"A")
        person.until(b"41 ")
        person.press(b"h", b"hexadecimal: off\r\n")
        person.press(b"e", b"local echo: on\r\n")
        person.type(b"B")
        person.until(b"BB")
        statistics = re.search(rb"(\d+) bytes sent, (\d+) received", person.press(b"s", b"eived"))
        assert statistics is not None
        assert int(statistics[1]) == len(b"stty -onlcr; echo a; echo b\rAB")
        person.press(b"x", b"0 bytes will not be sent")
        person.press(b"q", b"")
        assert person.end() == 0
    (log,) = tmp_path.glob("console-*.log")
    assert b"\na\r\nb\r\n" not in log.read_bytes()
    assert b"BB" not in log.read_bytes()


def test_a_paste_of_64_kib_through_a_uart_without_flow_control(tmp_path: Path) -> None:
    pasted = text(SIZE)
    with (
        uart(f"sh -c 'cat >{tmp_path}/got'") as line,
        typing("--console", line.device) as person,
    ):
        person.type(pasted.replace(b"\n", b"\r"))
        person.until(pasted.splitlines()[-1])
        assert arrived(tmp_path / "got", len(pasted)) == pasted
        assert line.lost == 0
        person.press(b"p", b"paced paste: off")
        person.type(pasted.replace(b"\n", b"\r"))
        person.press(b"s", b"wait to be sent")
        person.press(b"x", b"will not be sent")
        assert line.lost > 0


def test_a_break_and_the_key_after_it() -> None:
    with uart("sh -c 'stty -echo; cat'") as line, typing("--console", line.device) as person:
        person.press(b"b", b"break sent\r\n")
        person.press(b"Bs", b"break and s sent\r\n")
        person.type(b"\r")
        person.until(b"s\r\n")


@pytest.mark.parametrize("echoing", [True, False])
def test_a_file_whose_name_is_asked_for(tmp_path: Path, echoing: bool) -> None:
    content = text(SIZE if echoing else 2048)
    (tmp_path / "to the board").write_bytes(content)
    quiet = "" if echoing else "stty -echo; "
    with (
        uart(f"sh -c '{quiet}cat >{tmp_path}/got'", FIFO if echoing else 4096) as line,
        typing("--console", line.device, directory=tmp_path) as person,
    ):
        person.press(b"i", b"file to send: ")
        person.type(b"\x04")  # Ctrl-C may meet Python's readline before it looks out for it
        person.until(b"nothing is sent")
        person.press(b"i", b"file to send: ")
        person.type(b"nothing like it\r")
        person.until(b"error: nothing like it: No such file")
        person.press(b"i", b"file to send: ")
        person.type(b"to\t\r")
        person.until(f"sending {len(content)} bytes of to the board".encode())
        person.until(content.splitlines()[-1] if echoing else b"note: no echo")
        assert arrived(tmp_path / "got", len(content)) == content
        assert line.lost == 0
        assert (b"no echo" in person.seen) is not echoing
        person.type(PREFIX + b"q")
        assert person.end() == 0
        assert person.settings() == person.found


def test_a_pipe_is_sent_whole_and_the_board_has_its_say(tmp_path: Path) -> None:
    piped = text(SIZE)
    log = tmp_path / "board.log"
    (tmp_path / "first").write_bytes(b"first\n")
    with uart(f"sh -c 'cat >{tmp_path}/got; tail -n 1 {tmp_path}/got; sleep 1000'") as line:
        argv: list[str | Path] = [PROGRAM, "console", "--console", line.device]
        done = subprocess.run(
            [*argv, "--send", tmp_path / "first", "--log", log, "--log-strip"],
            input=piped + b"\x04",
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "got").read_bytes() == b"first\n" + piped
    assert done.stdout.endswith(piped.splitlines()[-1] + b"\r\n")
    assert log.read_bytes() == done.stdout.replace(b"\r", b"").replace(b"^D\b\b", b"^D")
    assert b"connected to /dev/pts/" in done.stderr
    assert b"at 115200 baud" in done.stderr


def test_a_pipe_that_can_not_be_sent_fails() -> None:
    board, ours = os.openpty()  # of which nobody reads the board's end
    os.set_blocking(ours, False)
    while select.select([], [ours], [], 0.3)[1]:  # what it holds moves on once more when it is full
        with suppress(BlockingIOError):
            os.write(ours, bytes(4096))
    impatient = (
        "from rootfs_tool.console import descriptor; descriptor.STUCK = 0.1;"
        "from rootfs_tool.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", impatient, "console", "--console", os.ttyname(ours)],
        input=b"one more\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(board)
    assert done.returncode == 7
    assert b"error: " in done.stderr
    assert b"took nothing" in done.stderr


def test_the_power_of_a_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'board = "qemu-aarch64"\n[[target]]\ntype = "attached"\n'
        f'console = "{SHELL}"\n[target.power]\ncycle = "touch {tmp_path}/cycled"\n'
    )
    with typing("--board", recipe) as person:
        person.press(b"r", b"power cycled")
        assert (tmp_path / "cycled").exists()


def test_a_server_that_comes_back_is_noted_on_a_line_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with typing("--console", url) as person:
            board = server.accept()[0]
            board.sendall(b"half a li")
            person.until(b"half a li")
            board.close()
            note = rb"\r\nnote: socket://\S+ has closed .*; waiting up to \d+ s .* come back\r\n"
            assert re.fullmatch(note, person.until(b"come back\r\n"))
            board = server.accept()[0]
            person.until(b" is back after ")
            board.sendall(b"# ")
            person.until(b"# ")
            person.type(b"ls")
            assert board.recv(1) == b"l"
            board.close()
            server.close()
            person.until(b"come back\r\n")
            person.type(b"into the void" + PREFIX + b"q")
            assert person.end() == 0


def test_two_at_one_console() -> None:
    """Who came second types too, while the first only looks on."""
    with (
        uart("env 'PS1=# ' sh -i", 1 << 20) as line,
        typing("--console", line.device) as first,
        typing("--console", line.device) as second,
    ):
        second.until(b"is shared by rootfs-tool (process")
        second.type(b"echo $((6*7))\r")
        second.until(b"\n42\r\n")
        first.until(b"\n42\r\n")
        for _ in range(300):  # what it reads and what it writes go through one socket
            second.type(b"k")
            second.until(b"k")
        second.type(b"\x15")
        second.until(b"\b \b")  # the line has been taken back
        first.type(b"no\r")
        first.until(b"is being written to by rootfs-tool")
        second.type(PREFIX + b"q")
        assert second.end() == 0
        first.type(b"echo $((6*8))\r")
        first.until(b"\n48\r\n")


def test_a_log_that_can_not_be_written_ends_alone(tmp_path: Path) -> None:
    with typing("--console", SHELL, "--log", "/dev/full") as person:
        person.type(b"echo $((6*7))\r")
        person.until(b"note: /dev/full: No space left on device: this log has ended\r\n")
        person.until(b"42\r\n")
    refused = rootfs_tool("console", "--console", SHELL, "--log", tmp_path / "no" / "log")
    assert refused.status == 2
    assert "No such file" in refused.stderr
    assert list(tmp_path.iterdir()) == []
