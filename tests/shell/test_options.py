"""Stdin, stdout and stderr apart, environment, directory, and a script on the terminal itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.console import connect
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConsoleTimeout
from rootfs_tool.shell import Shell
from tests.shell.boards import LINE, Lossy, Relay, attached


@pytest.fixture
def shell(program: str) -> Iterator[Shell]:
    with attached(program) as shell:
        yield shell


@pytest.mark.parametrize("streamed", [False, True])
def test_stdout_and_stderr_apart(shell: Shell, tmp_path: Path, streamed: bool) -> None:
    out, err = os.urandom(40_000), os.urandom(70_000)
    (tmp_path / "out").write_bytes(out)
    (tmp_path / "err").write_bytes(err)
    came: list[bytes] = []
    result = shell.run(
        f"cat {tmp_path}/out; cat {tmp_path}/err >&2; exit 9",
        apart=True,
        on_error=came.append if streamed else None,
    )
    assert (result.status, result.output, result.errors) == (9, out, err)
    assert b"".join(came) == (err if streamed else b"")
    again = shell.run("echo out; no-such-program", apart=True)
    assert (again.output, again.status) == (b"out\n", 127)
    assert b"no-such-program" in again.errors
    assert shell.run("if", apart=True).errors
    assert shell.run("echo together; echo here >&2").output == b"together\nhere\n"


def test_stdin_environment_directory(shell: Shell, tmp_path: Path) -> None:
    data = os.urandom(5000)
    (tmp_path / "in put").write_bytes(data)
    value = "it's $HOME\n\\n \t\x7f grün"
    result = shell.run(
        'cat; printf %s "$VALUE"; pwd',
        stdin=f"{tmp_path}/in put",
        environment={"VALUE": value},
        directory=str(tmp_path),
    )
    assert result.output == data + value.encode() + f"{tmp_path}\n".encode()
    assert shell.run("echo no", directory="/no/such").status
    assert shell.run("echo no", stdin="/no/such").status
    assert shell.run('cat; echo "$VALUE"').output == b"\n"


def test_a_file_of_our_own_is_removed(program: str) -> None:
    with attached(program) as shell:
        path = Path(shell.scratch("mine"))
        shell.run(f"echo data >{path}")
        assert path.read_text() == "data\n"
    assert not path.exists()


def _speak(shell: Shell) -> None:
    script = "printf 'ready\\n'; while read -r word; do echo \"$word $word\"; done"
    script += "; stty raw; printf '%s' \"$(dd bs=4 count=1)\"; exit 5"
    script = script.replace("while read -r word", 'while read -r word && [ "$word" != raw ]')
    with shell.foreground(script) as front:
        said = b""
        while b"ready\n" not in said:
            said += front.read(1)
        front.write(b"one\ntwo\n")
        while b"two two\n" not in said:
            said += front.read(1)
        assert b"ready\none one\ntwo two\n" in said
        front.write(b"raw\n")
        while front.read(0.3):
            pass
        front.write(b"\x03\x04\r\n")
        while b"\x03\x04\r\n" not in said:
            said += front.read(1)
    assert front.status == 5
    assert shell.run("echo next").output == b"next\n"


def test_a_script_that_has_the_terminal(shell: Shell) -> None:
    _speak(shell)
    _speak(shell)


def test_a_script_over_a_line_that_loses_bytes(program: str) -> None:
    with attached(program, lambda console: Lossy(console, seed=3, from_board=700)) as shell:
        with shell.foreground("#" + "x" * 5000 + "\nexit 4") as front:
            pass
        assert front.status == 4
        assert shell.run("echo next").output == b"next\n"


def test_a_script_that_does_not_end(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("rootfs_tool.shell.foreground._END", 0.5)
    script = f"while [ ! -e {tmp_path}/stop ]; do sleep 0.1; done"
    with (
        attached(program) as shell,
        pytest.raises(ConsoleTimeout, match="does not end"),
        shell.foreground(script),
    ):
        pass
    (tmp_path / "stop").touch()


def test_a_long_command_that_comes_changed_is_not_run(shell: Shell) -> None:
    """Between its parts and the request that runs it the text on the board is another one."""
    wire = shell._wire
    command = "printf %s " + "x" * 400
    other = "printf %s " + "y" * 400
    sent = wire.send

    def send(number: int, text: str, line: str | None = None) -> None:
        sent(number, text, line and line.replace("x", "y", 1))
        if text.startswith("long"):
            wire.send = sent  # type: ignore[method-assign]

    wire.send = send  # type: ignore[method-assign]
    assert shell.run(command).output == b"x" * 400
    assert shell.run(other).output == b"y" * 400


def test_flow_control_by_xon_and_xoff(program: str) -> None:
    """What a terminal takes for a stop never comes as it is."""
    seen: list[bytes] = []

    class Looking(Relay):
        def read(self, timeout: float) -> bytes:
            seen.append(data := super().read(timeout))
            return data

    console = Looking(connect(f"exec:{program}", LINE))
    with closing(console):
        shell = Shell.attach(console, Line(flow_control="xonxoff"), timeout=20)
        seen.clear()
        assert shell.run("printf 'a\\021b\\023c'; exit 3").output == b"a\x11b\x13c"
        shell.leave()
    assert not set(b"\x11\x13") & set(b"".join(seen))
