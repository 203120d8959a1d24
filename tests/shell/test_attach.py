"""A console in any state becomes a shell."""

from __future__ import annotations

import os
import subprocess
import termios
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.console.transcript import recorded
from rootfs_tool.errors import ConsoleError, ConsoleTimeout
from rootfs_tool.shell import Shell, login
from rootfs_tool.shell.login import Allowed
from tests.shell.boards import LINE, KernelTalks, Relay, attached, script, until

PROMPT = b"# " if os.geteuid() == 0 else b"$ "
GETTY = """
echo '[    0.000000] Booting Linux on physical CPU 0x0'
while :; do
    printf 'board login: '; read -r user
    if [ -n "$want" ]; then
        stty -echo; printf 'Password: '; read -r password; stty echo; echo
        [ "$password" = "$want" ] || user=nobody
    fi
    if [ "$user" = root ]; then break; fi
    printf '\\nLogin incorrect\\n'
done
echo 'Last login: Thu Jan  1 00:00:00 1970'
exec sh -i
"""


@pytest.fixture
def no_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first key comes at once: where no boot loader can be, nobody waits for its countdown."""
    _, *later = login._PAUSES
    monkeypatch.setattr(login, "_PAUSES", (0.2, *later))


def answers(shell: Shell) -> bool:
    return shell.run("echo here; exit 3").output == b"here\n"


def test_a_prompt_after_a_boot(program: str, tmp_path: Path) -> None:
    boot = "".join(f"echo '[    {n}.000000] booting # $ '\n" for n in range(9))
    command = script(tmp_path, boot + "exec " + program.replace("busybox sh", "busybox sh -i"))
    with attached(command) as shell:
        assert answers(shell)


@pytest.mark.usefixtures("no_boot")
def test_a_prompt_that_came_and_went(program: str) -> None:
    """Nothing will come by itself: the prompt has been read by another program."""
    console = ProcessConsole(program)
    with closing(console):
        until(console, PROMPT)
        console.write(b"touch /no/such/half/typed/line; exit")
        while console.read(0.1):
            pass
        shell = Shell.attach(console, LINE, timeout=10)
        assert answers(shell)
        shell.leave()


@pytest.mark.usefixtures("no_boot")
def test_an_open_quote(program: str) -> None:
    console = ProcessConsole(program)
    with closing(console):
        until(console, PROMPT)
        console.write(b"echo 'open\r")
        shell = Shell.attach(console, LINE, timeout=10)
        assert answers(shell)
        shell.leave()


@pytest.mark.usefixtures("no_boot")
@pytest.mark.parametrize("busy", [False, True])
def test_the_agent_of_a_run_that_was_killed(program: str, tmp_path: Path, busy: bool) -> None:
    console = ProcessConsole(program)
    with closing(console):
        first = Shell.attach(console, LINE, timeout=10)
        assert answers(first)
        if busy:
            first._wire.send(first._wire.number(), f"r echo $$ >{tmp_path}/pid; sleep 1000")
            while not (tmp_path / "pid").exists():
                assert not console.read(0.01)
        second = Shell.attach(console, LINE, timeout=10)
        assert answers(second)
        marks = {
            path.name.split("-")[2].partition(".")[0] for path in tmp_path.glob(".rootfs-tool*")
        }
        assert len(marks) == 1
        second.leave()
        assert not list(tmp_path.glob(".rootfs-tool*"))


@pytest.mark.usefixtures("no_boot")
def test_settings_of_the_terminal_are_put_back(program: str) -> None:
    console = ProcessConsole(program)
    with closing(console):
        until(console, PROMPT)
        before = _settings(console)
        shell = Shell.attach(console, LINE, timeout=10)
        during = _settings(console)
        shell.leave()
        assert during[3] & termios.ECHO == 0 == during[1] & termios.OPOST
        deadline = time.monotonic() + 5
        while _settings(console)[:4] != before[:4]:
            assert time.monotonic() < deadline
            console.read(0.01)


def _settings(console: ProcessConsole) -> list[Any]:
    return termios.tcgetattr(console._descriptor)


def test_login_without_a_password(program: str, tmp_path: Path) -> None:
    with attached(script(tmp_path, GETTY)) as shell:
        assert answers(shell)


def test_login_with_a_password(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOTFS_TOOL_PASSWORD", "s3cr et")
    console = ProcessConsole(script(tmp_path, "want='s3cr et'\n" + GETTY))
    with closing(console), recorded(console, tmp_path / "console.log") as written:
        shell = Shell.attach(written, LINE, timeout=10)
        assert answers(shell)
        shell.leave()
    assert "s3cr" not in (tmp_path / "console.log").read_text()


@pytest.mark.parametrize(
    ("password", "words"), [(None, "asks for the password of root"), ("wrong", "refused the login")]
)
def test_login_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str | None, words: str
) -> None:
    monkeypatch.delenv("ROOTFS_TOOL_PASSWORD", raising=False)
    if password is not None:
        monkeypatch.setenv("ROOTFS_TOOL_PASSWORD", password)
    with (
        pytest.raises(ConsoleError, match=words) as caught,
        attached(script(tmp_path, "want=right\n" + GETTY)),
    ):
        pass
    assert "ROOTFS_TOOL_PASSWORD" in str(caught.value.hint)
    assert "wrong" not in f"{caught.value} {caught.value.hint} {caught.value.tail}"


def test_a_login_that_a_kernel_message_hides(program: str, tmp_path: Path) -> None:
    def relay(console: Console) -> Console:
        return KernelTalks(console, seed=1, distance=6)

    with attached(script(tmp_path, GETTY), relay) as shell:
        assert answers(shell)


def test_press_enter_to_activate(program: str, tmp_path: Path) -> None:
    text = "printf '\\nPlease press Enter to activate this console. '; read -r _; exec sh -i"
    with attached(script(tmp_path, text)) as shell:
        assert answers(shell)


def test_u_boot_s_prompt(tmp_path: Path) -> None:
    text = "printf 'U-Boot 2025.01\\n\\n=> '; read -r _; echo booted"
    with (
        pytest.raises(ConsoleError, match="U-Boot's prompt"),
        attached(script(tmp_path, text)),
    ):
        pass


def test_u_boot_s_countdown_is_left_alone(tmp_path: Path) -> None:
    """A key would stop it there: what has been typed is what comes back on this terminal."""
    text = "printf 'U-Boot 2025.01\\n\\nHit any key to stop autoboot:  3 '; exec cat"
    sent = _Sent(ProcessConsole(script(tmp_path, text)))
    with closing(sent), pytest.raises(ConsoleTimeout):
        Shell.attach(sent, LINE, timeout=2.5)
    assert sent.data == b""


class _Sent(Relay):
    data = b""

    def write(self, data: bytes) -> None:
        self.data += data
        super().write(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [("exec sleep 100", "not a byte came"), ("echo booting; exec sleep 100", "no shell prompt")],
)
def test_a_prompt_that_never_comes(tmp_path: Path, text: str, words: str) -> None:
    begun = time.monotonic()
    quiet = f"stty -echo; {text}"
    with pytest.raises(ConsoleTimeout, match=words), attached(script(tmp_path, quiet), timeout=0.5):
        pass
    assert time.monotonic() - begun < 2


def test_a_board_that_hangs_at_its_prompt_has_spoken(tmp_path: Path) -> None:
    """As one does whose serial port has lost an interrupt."""
    hangs = script(tmp_path, "stty -echo -isig; printf '~ # '; exec sleep 100")
    words = "nothing more came"
    with pytest.raises(ConsoleTimeout, match=words) as late, attached(hangs, timeout=12):
        pass
    assert "~ #" in late.value.tail


@pytest.mark.parametrize("program", ["busybox sh", "bash --norc"])
def test_a_terminal_that_a_program_left_raw(program: str, tmp_path: Path) -> None:
    """Their line editors take a return for the end of a line, and nobody else does."""
    with attached(script(tmp_path, f"stty raw -echo; exec {program}")) as shell:
        assert shell.run("echo here").text == "here\n"


@pytest.mark.root
@pytest.mark.parametrize("command", ["head -c 3000000 /dev/zero", "head -c 3000000 /dev/zero; :"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_full_tmp_is_an_error_and_not_an_answer(
    program: str, tmp_path: Path, command: str, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", room], check=True)
    try:
        with attached(program) as shell:
            with pytest.raises(ConsoleError, match=f"{room} is full") as caught:
                shell.run(command, on_output=(lambda _: None) if streamed else None)
            assert not isinstance(caught.value, ConsoleTimeout)
            assert answers(shell)
    finally:
        subprocess.run(["umount", room], check=True)


def test_another_user_logs_in(program: str, tmp_path: Path) -> None:
    line = Line(user="operator")
    console = ProcessConsole(script(tmp_path, GETTY.replace("= root", "= operator")))
    with closing(console):
        shell = Shell.attach(console, line, timeout=10)
        assert answers(shell)
        shell.leave()


class _Asked:
    """A person, who is asked for a password."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return "s3cr et"


def test_a_person_is_asked_for_the_password(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOTFS_TOOL_PASSWORD", raising=False)
    console = ProcessConsole(script(tmp_path, "want='s3cr et'\n" + GETTY))
    person = _Asked()
    with closing(console), recorded(console, tmp_path / "console.log") as written:
        shell = Shell.attach(written, LINE, timeout=10, allowed=Allowed(ask_password=person))
        assert answers(shell)
        shell.leave()
    assert person.prompts == ["password of root on the board"]
    assert "s3cr" not in (tmp_path / "console.log").read_text()
