"""A command on a board, as if it were run here."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleClosed
from tests import machine
from tests.command import PROGRAM, rootfs_tool
from tests.shell.boards import KernelTalks

EVERY_BYTE = bytes(range(256)) * 9


@contextmanager
def on_the_network(console: Console) -> Iterator[str]:
    """The address of a serial server with ``console`` on its port: it outlives who calls."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    caller, _ = server.accept()
                    _pass(caller, console, ended)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def _pass(caller: socket.socket, console: Console, ended: threading.Event) -> None:
    caller.settimeout(0.002)
    with caller, suppress(OSError, ConsoleClosed):
        while not ended.is_set():
            if said := console.read(0.002):
                caller.sendall(said)
            with suppress(TimeoutError):
                if not (typed := caller.recv(4096)):
                    return
                console.write(typed)


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Start a board; its console's address."""
    with ExitStack() as stack:

        def started(relay: Callable[[Console], Console] = lambda console: console) -> str:
            console = stack.enter_context(closing(relay(ProcessConsole("sh -i"))))
            return stack.enter_context(on_the_network(console))

        yield started


@pytest.fixture
def board(start: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    url = start()
    monkeypatch.setenv("ROOTFS_TOOL_CONSOLE", url)
    return url


def ran(*argv: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [PROGRAM, "exec", *argv]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


@contextmanager
def started(command: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    argv = [str(PROGRAM), "exec", command]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as running:
        try:
            yield running
        finally:
            running.kill()


def test_its_bytes_its_errors_its_status(board: str) -> None:
    printed = "".join(f"\\{byte:03o}" for byte in EVERY_BYTE[:256])
    done = ran("--", f"printf '{printed}'; echo oh no >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, EVERY_BYTE[:256], b"oh no\n")


def test_words_are_joined_as_ssh_does(board: str) -> None:
    done = ran("echo", "-n", "a  b", ">&2;", "exit", "255")
    assert (done.returncode, done.stdout, done.stderr) == (255, b"", b"a b")


def test_environment_and_directory(board: str, tmp_path: Path) -> None:
    odd = tmp_path / "it's a place"
    odd.mkdir()
    done = ran("--env", "A=x  'y", "--env", "B=", "--directory", str(odd), 'echo "$A${B-no}"; pwd')
    assert (done.returncode, done.stdout) == (0, f"x  'y\n{odd}\n".encode())
    done = ran("--directory", "/no/such/place", "echo here")
    assert done.returncode != 0
    assert done.stdout == b""
    assert b"/no/such/place" in done.stderr


def test_a_variable_without_a_name(board: str) -> None:
    assert ran("--env", "2=3", "true").returncode == 2


@pytest.mark.parametrize("how", ["ours", "file"])
def test_stdin_is_whole(board: str, tmp_path: Path, how: str) -> None:
    (tmp_path / "file").write_bytes(EVERY_BYTE)
    done = (
        ran("cat; exit 3", stdin=EVERY_BYTE)
        if how == "ours"
        else ran("--stdin", tmp_path / "file", "cat; exit 3", stdin=b"not this")
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, EVERY_BYTE, b"")


def test_without_stdin_there_is_an_end_to_it(board: str) -> None:
    assert ran("cat; echo end").stdout == b"end\n"


def test_output_comes_while_it_runs(board: str, tmp_path: Path) -> None:
    waits = f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo last >&2"
    with started(waits) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"first\n"
        (tmp_path / "go").touch()
        assert running.stderr.readline() == b"last\n"
        assert running.wait(30) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, None])
def test_who_goes_takes_the_command_along(board: str, how: signal.Signals | None) -> None:
    """By Ctrl-C, by kill, or because nobody reads its output any more."""
    with started("echo $$; while sleep 0.1; do echo more; done") as running:
        assert running.stdout is not None
        command = int(running.stdout.readline())
        if how is None:
            running.stdout.close()
        else:
            running.send_signal(how)
        status = {signal.SIGINT: 130, signal.SIGTERM: 143, None: 141}[how]
        assert running.wait(30) == status
    _gone(command)
    assert ran("echo usable").stdout == b"usable\n"


def _gone(process: int) -> None:
    """It has ended, though nobody may have asked for its status yet."""
    deadline = time.monotonic() + 5
    with suppress(FileNotFoundError):
        while ") Z " not in Path(f"/proc/{process}/stat").read_text():
            assert time.monotonic() < deadline, f"{process} runs still"
            time.sleep(0.02)


def test_time_is_up(board: str) -> None:
    done = ran("--timeout", "0.3", "echo $$; exec sleep 1000")
    assert done.returncode == 7
    assert b"did not end within 0.3 s; it was killed" in done.stderr
    _gone(int(done.stdout))


def test_json_has_it_all(board: str) -> None:
    done = ran("--json", "--", "printf '\\377 ü'; echo no >&2; exit 3")
    said = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (3, b"")
    assert said.pop("seconds") >= 0
    assert said == {"status": 3, "stdout": "\udcff ü", "stderr": "no\n"}


def test_in_the_background(board: str, tmp_path: Path) -> None:
    program = "echo started; exec sleep 1000"
    log = str(tmp_path / "it's the log")
    done = ran("--background", log, "--", program, stdin=b"not read")
    assert (done.returncode, done.stderr) == (0, b"")
    process = done.stdout.decode().strip()
    assert (
        ran(f'until grep started "{log}"; do sleep 0.02; done; kill -TERM -{process}').returncode
        == 0
    )
    _gone(int(process))
    assert Path(log).read_text() == "started\n"


def test_a_log_that_cannot_be(board: str) -> None:
    done = ran("--background", "/no/such/log", "true")
    assert done.returncode != 0
    assert b"/no/such/log" in done.stderr


def test_what_the_kernel_says_is_told_on_request(start: Callable[..., str]) -> None:
    url = start(lambda console: KernelTalks(console, seed=3, distance=40))
    quiet = ran("--console", url, "seq 40")
    told = ran("--console", url, "-v", "seq 40")
    numbers = "".join(f"{number}\n" for number in range(1, 41)).encode()
    assert (quiet.stdout, quiet.stderr) == (numbers, b"")
    assert told.stdout == numbers
    assert b"usb 1-1: message" in told.stderr


def test_a_board_that_hangs_is_restarted_on_request(tmp_path: Path) -> None:
    hangs = "trap '' INT QUIT TSTP HUP; stty -echo; while :; do sleep 0.1; done"
    console = machine.build(tmp_path / "machine", runs=hangs)
    relay = tmp_path / "machine" / "relay"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'board = "qemu-aarch64"\n[[target]]\ntype = "attached"\nconsole = """exec:{console}"""\n'
        f'[target.power]\noff-seconds = 0.0\non = "{relay} on"\noff = "{relay} off"\n'
    )
    done = ran("--board", recipe, "--recover", "echo alive")
    assert (done.returncode, done.stdout) == (0, b"alive\n")
    assert (tmp_path / "machine" / "switched").read_text() == "off\non\n"


def test_a_console_in_trouble() -> None:
    done = ran("--console", "exec:sh -c 'echo U-Boot is gone'", "true")
    assert done.returncode == 7
    assert done.stderr.startswith(b"error: ")
    assert b"last lines of the board:\n  U-Boot is gone\n" in done.stderr


def test_no_console_to_speak_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOTFS_TOOL_CONSOLE", raising=False)
    done = rootfs_tool("exec", "true")
    assert done.status == 2
    assert "--console URL is missing" in done.stderr
    assert "this host has" in done.stderr


def test_the_recipe_says_where_the_board_is(
    board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f'[[target]]\ntype = "attached"\nconsole = "{board}"\n'
    (tmp_path / "recipe.toml").write_text(f'board = "qemu-aarch64"\n{target}')
    monkeypatch.setenv("ROOTFS_TOOL_CONSOLE", "exec:sh -c 'echo the wrong board'")
    assert ran("--board", tmp_path / "recipe.toml", "echo here").stdout == b"here\n"
