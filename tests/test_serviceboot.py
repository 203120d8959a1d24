"""Services on a board from its boot to its end: one machine for all of it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.shell import Shell
from tests.command import rootfs_tool
from tests.conftest import CHECKOUT
from tests.qemu import LINE, powered
from tests.shell.boards import Relay

pytestmark = [pytest.mark.qemu, pytest.mark.network]

LOCK = CHECKOUT / "boards" / "qemu-aarch64.lock"  # with which a build asks no archive

RECIPE = """
board = "qemu-aarch64"
overlay = ["overlay"]

[[user]]
name = "web"
groups = ["dialout", "lab"]

[[service]]
name = "late"
command = "/usr/bin/svc late"
order = 80
background = true

[[service]]
name = "daemon"
command = "/usr/bin/svcd /tmp/daemon.pid"
order = 70
pidfile = "/tmp/daemon.pid"

[[service]]
name = "deaf"
command = "/usr/bin/svc deaf"
order = 60
background = true
stop-timeout = 1

[[service]]
name = "dies"
command = "/usr/bin/svc dies"
background = true

[[service]]
name = "again"
command = "/usr/bin/svc again 'a  b'"
background = true
respawn = true
user = "web"
environment = { LEVEL = "3 'x'" }
directory = "/var/tmp"

[[service]]
name = "early"
command = "/usr/bin/svc early"
order = 30
background = true
"""

SERVICE = """\
#!/bin/sh
# Says on the console that it was told to end, and that it has.
ended() {
    echo "$1 got SIGTERM" >/dev/console
    sleep 0.3
    rm -f "/tmp/$1.data"
    echo "$1 has ended" >/dev/console
    logger -t svc "$1 has ended"
    exit 0
}
name=$1
case $name in
dies) echo "no config"; exit 3 ;;
deaf) trap '' TERM ;;
again) ;;
*) trap 'ended "$name"' TERM ;;
esac
echo data >"/tmp/$name.data"
logger -t svc "$name is up"
while :; do # a signal ends wait, not sleep
    sleep 100 &
    wait
done
"""

DAEMON = """\
#!/bin/sh
# Goes to the background itself and writes its pidfile.
[ "$2" ] || {
    "$0" "$1" there &
    exit
}
echo $$ >"$1"
trap 'rm -f "$1"; exit' TERM
sleep 100 &
wait
"""


class Recording(Relay):
    """Keeps all that was read."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.heard = ""

    def read(self, timeout: float) -> bytes:
        data = super().read(timeout)
        self.heard += data.decode(errors="replace")
        return data

    def until(self, words: str, start: int, seconds: float) -> str:
        """All that was said from ``start`` on, up to ``words``."""
        deadline = time.monotonic() + seconds
        while words not in self.heard[start:]:
            assert time.monotonic() < deadline, self.heard[start:]
            self.read(0.5)
        return self.heard[start:]


@dataclass(slots=True)
class Board:
    console: Recording
    shell: Shell

    def says(self, command: str, status: int = 0) -> str:
        result = self.shell.run(command, timeout=30)
        assert result.status == status, result.text
        return result.text.strip()

    def powers_off(self) -> list[str]:
        """What the services, and their scripts, say while the board goes down."""
        self.shell.leave()
        start = len(self.console.heard)
        self.console.write(b"poweroff\r")
        # What QEMU says last may be lost with its terminal.
        said = self.console.until("Requesting system poweroff", start, 30)
        return re.findall(
            r"(?:late|early) (?:got|has) \w+|deaf: still there.*?(?=\r)", said, re.MULTILINE
        )


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    where = tmp_path_factory.mktemp("services")
    (where / "recipe.toml").write_text(RECIPE)
    shutil.copy(LOCK, where / "recipe.lock")
    programs = where / "overlay" / "usr" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("svc", SERVICE), ("svcd", DAEMON)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    ran = rootfs_tool("build", where / "recipe.toml", "-o", where / "out", timeout=600)
    assert ran.status == 0, ran.said
    with powered(where / "out", "") as machine, machine.console() as port:
        console = Recording(port)
        machine.start()
        yield Board(console, Shell.attach(console, LINE, timeout=60))


def pid(status: str) -> int:
    found = re.search(r": running, pid (\d+), restarts", status)
    assert found, status
    return int(found[1])


def test_what_would_not_run_is_told_before_there_is_an_image(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'board = "qemu-aarch64"\n'
        '[[source]]\ntype = "file"\npath = "/bin/true"\nto = "/usr/bin/mine"\nmode = 0o755\n'
        '[[service]]\nname = "web"\ncommand = "/usr/sbin/htpd -f"\nbackground = true\n'
    )
    shutil.copy(LOCK, tmp_path / "recipe.lock")
    ran = rootfs_tool("build", recipe, "-o", tmp_path / "out")
    assert ran.status == 2
    assert "service web: /usr/sbin/htpd is not in the rootfs; did you mean /usr/bin/" in ran.stderr
    assert "/bin/true: is built for x86-64, the board is aarch64" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_they_start_in_their_order(board: Board) -> None:
    names = ("S30early", "S51again", "S60deaf", "S70daemon", "S80late")
    pids = [pid(board.says(f"/etc/init.d/{name} status")) for name in names]
    assert pids == sorted(pids)


def test_one_that_dies_at_boot_is_named_on_the_console(board: Board) -> None:
    board.says("sleep 1.2")  # the longest that it is watched for
    said = re.sub(r"\r|^\[ *\d+\.\d{6}\] .*\n", "", board.console.heard, flags=re.MULTILINE)
    assert re.search(r"^dies: died at once.*\nno config\n", said, re.MULTILINE), said
    status = board.says("/etc/init.d/S50dies status", 1)
    assert status == "dies: dead, but its pidfile /run/dies.pid is there"


def test_the_system_log_has_been_there_from_the_start(board: Board) -> None:
    log = board.says("cat /var/log/messages")
    for name in ("early", "again", "deaf", "late"):
        assert f" svc: {name} is up\n" in f"{log}\n"
    assert "kernel: " in log
    assert (
        board.says("/etc/init.d/S01syslog restart; /etc/init.d/S01syslog status").count(
            "running, pid"
        )
        == 2
    )
    board.says("logger -t probe 'after its restart'")
    assert "probe: after its restart" in board.says("tail -n 3 /var/log/messages")
    assert board.says("readlink -f /var/run") == "/run"


def test_user_environment_and_directory(board: Board) -> None:
    there = f"/proc/{pid(board.says('/etc/init.d/S51again status'))}"
    status = board.says(f"cat {there}/status")
    assert re.search(r"^Uid:\t1000\t1000\t1000", status, re.MULTILINE)
    assert re.search(r"^Gid:\t1000\t1000\t1000", status, re.MULTILINE)
    assert re.search(r"^Groups:\t20 1000 2000 *$", status, re.MULTILINE)
    environment = board.says(f"tr '\\0' '\\n' <{there}/environ").splitlines()
    assert {"LEVEL=3 'x'", "HOME=/home/web", "USER=web"} <= set(environment)
    assert board.says(f"readlink {there}/cwd; tr '\\0' '|' <{there}/cmdline") == (
        "/var/tmp\n/bin/sh|/usr/bin/svc|again|a  b|"
    )
    assert board.says("su web -c 'cd && pwd && touch a && stat -c \"%U %a\" . a'") == (
        "/home/web\nweb 700\nweb 644"
    )


def test_start_and_stop(board: Board) -> None:
    script = "/etc/init.d/S70daemon"
    first = pid(board.says(f"{script} status"))
    assert board.says(f"{script} start") == f"daemon: already running, pid {first}"
    board.says(f"{script} restart")
    second = pid(board.says(f"{script} status"))
    assert second != first
    board.says(f"kill -9 {second}; sleep 0.1")
    assert board.says(f"{script} status", 1) == (
        "daemon: dead, but its pidfile /tmp/daemon.pid is there"
    )
    assert board.says(f"{script} stop; ls /tmp/daemon.pid 2>/dev/null", 1) == "daemon: not running"
    board.says(f"booting=yes {script} start; sleep 0.3")  # it is not watched before that returns
    third = pid(board.says(f"{script} status"))
    assert board.says(f"{script} stop; {script} status", 3) == "daemon: stopped"
    board.says(f"sleep 0.2; ls /tmp/daemon.pid /proc/{third}/exe", 1)


def test_respawn_counts(board: Board) -> None:
    script = "/etc/init.d/S51again"
    first = pid(board.says(f"{script} status"))
    board.says(f"kill -9 {first}")
    deadline = time.monotonic() + 15
    again = re.compile(r"again: running, pid \d+, restarts 1")
    while not again.fullmatch(status := board.shell.run(f"{script} status").text.strip()):
        assert time.monotonic() < deadline, status
    assert pid(status) != first
    assert "again ended with status 137, started again in 1 s" in board.says(
        "cat /var/log/again.log"
    )


def test_a_power_off_tells_them_in_reverse_and_waits(board: Board) -> None:
    assert board.says("ls /tmp/early.data") == "/tmp/early.data"
    assert board.powers_off() == [
        *("late got SIGTERM", "late has ended"),
        "deaf: still there 1 s after SIGTERM, killed",
        *("early got SIGTERM", "early has ended"),
    ]
