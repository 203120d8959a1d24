"""The S-script of a service at work with this host's BusyBox, /run and /var/log its own."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

from rootfs_tool.service import Service
from tests.test_servicefiles import RESPAWN, of, rendered, text

HOSTILE = "a 'b' \"c\" $HOME `id` \\n; *\n\u00e9 -%"


def said(busybox: Path, directory: Path, service: Service, commands: str) -> list[str]:
    """What ``commands`` say in a PID and mount namespace of their own; ./S is the service's."""
    files = rendered([service])
    respawn = directory / "respawn"
    for path, name in (("/etc/init.d/S50" + service.name, "S"), (RESPAWN, "respawn")):
        if path in files:
            file = directory / name
            file.write_text(text(files[path]).replace(RESPAWN, str(respawn)))
            file.chmod(0o755)
    # The script's PATH begins with /usr/sbin.
    script = f"""
        mount -t tmpfs none /run && mount -t tmpfs none /var/log &&
            mount --bind {busybox} /usr/sbin || exit
        {commands}
    """
    done = subprocess.run(
        [
            *("/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(busybox / "sh", "-c", script),
        ],
        cwd=directory,
        env={"PATH": str(busybox)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.splitlines()


def program(directory: Path, body: str) -> Path:
    path = directory / "program"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


STAYS = "sleep 100 & wait"  # a loop would now and then be there twice, before it is sleep


@pytest.mark.root
@pytest.mark.parametrize("shell", ["./S", "busybox sh ./S"])
def test_from_start_to_stop(busybox: Path, tmp_path: Path, shell: str) -> None:
    path = program(tmp_path, f'printf "%s\\n" "$1" "$A" "$pid"; pwd; umask; {STAYS}')
    service = of(
        "it", f"{path} 'a  b'", environment={"A": HOSTILE, "pid": "1"}, directory="/var/log"
    )
    lines = said(
        busybox,
        tmp_path,
        service,
        f"""
        {shell} status; echo $?
        {shell} start; echo $?
        {shell} status | sed 's/pid [0-9]*/pid PID/'; echo $?
        [ "$({shell} status)" = "it: running, pid $(cat /run/it.pid), restarts 0" ]; echo $?
        {shell} start | sed 's/[0-9]*$/PID/'; echo $?
        {shell} stop; echo $?
        {shell} stop; echo $?
        ls /run
        cat /var/log/it.log
        {shell} other; echo $?
        """,
    )
    assert lines == [
        *("it: stopped", "3", "0", "it: running, pid PID, restarts 0", "0", "0"),
        *("it: already running, pid PID", "0", "0", "it: not running", "0"),
        *("a  b", *HOSTILE.split("\n"), "1", "/var/log", "0022"),
        *("usage: ./S start|stop|restart|status", "2"),
    ]


@pytest.mark.root
def test_one_that_dies_at_once(busybox: Path, tmp_path: Path) -> None:
    path = program(tmp_path, 'echo "old news"; seq 10 14; exit 3')
    lines = said(
        busybox, tmp_path, of("it", str(path)), "./S start; echo $?; ./S status; ./S start 2>&1"
    )
    why = [
        "it: died at once (one that goes to the background itself has a pidfile instead)",
        *map(str, range(10, 15)),
    ]
    dead = "it: dead, but its pidfile /run/it.pid is there"
    assert lines == [*why, "1", dead, *why]


@pytest.mark.root
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "echo no such interface; exit 4",
            ["it: did not start, exit status 4", "no such interface"],
        ),
        ("exit 0", ["it: has written no /run/d.pid"]),
        (
            "echo in the dark; (sleep 0.3) & echo $! >/run/d.pid",
            ["it: died at once", "in the dark"],
        ),
    ],
)
def test_a_daemon_that_does_not_come_up(
    busybox: Path, tmp_path: Path, body: str, expected: list[str]
) -> None:
    service = of("it", str(program(tmp_path, body)), pidfile="/run/d.pid")
    assert said(busybox, tmp_path, service, "./S start; echo $?") == [*expected, "1"]


@pytest.mark.root
def test_a_directory_for_the_pidfile_of_somebody_else_than_root(
    busybox: Path, tmp_path: Path
) -> None:
    body = f'[ "$1" ] || {{ "$0" d & exit; }}\necho $$ >/run/d/d.pid; {STAYS}'
    program(tmp_path, body)
    lines = said(
        busybox,
        tmp_path,
        of("it", "/run/program", pidfile="/run/d/d.pid", user="nobody"),
        """
        cp program /run # where nobody gets to
        ./S start; stat -c '%U %a' /run/d; ./S status; cat /run/d/d.pid; ./S stop
        """,
    )
    assert lines == ["nobody 755", f"it: running, pid {lines[-1]}, restarts 0", lines[-1]]


@pytest.mark.root
def test_a_service_that_lives_where_its_pidfile_is(busybox: Path, tmp_path: Path) -> None:
    """Below /run, where at boot there is nothing yet."""
    body = f'[ "$1" ] || {{ "$0" d & exit; }}\necho $$ >web.pid; pwd; {STAYS}'
    path = program(tmp_path, body)
    service = of("it", str(path), pidfile="/run/web/web.pid", directory="/run/web")
    lines = said(busybox, tmp_path, service, "./S start; echo $?; cat /var/log/it.log; ./S stop")
    assert lines == ["0", "/run/web"]


@pytest.mark.root
def test_a_pidfile_that_names_another_program(busybox: Path, tmp_path: Path) -> None:
    """After a reboot, or when the numbers have gone round: that program must live."""
    path = program(tmp_path, f'[ "$1" ] || {{ "$0" d & exit; }}\necho $$ >/run/d.pid; {STAYS}')
    lines = said(
        busybox,
        tmp_path,
        of("it", str(path), pidfile="/run/d.pid"),
        """
        sleep 60 & other=$!
        echo $other >/run/d.pid
        ./S status; echo $?
        ./S stop; [ -e /run/d.pid ] || echo gone
        echo $other >/run/d.pid
        ./S start; echo $?
        kill -0 $other; echo $?
        [ "$(cat /run/d.pid)" != $other ]; echo $?
        echo "$(cat /run/d.pid) 1" >/run/it.started  # what we started had that number before
        ./S status
        """,
    )
    dead = "it: dead, but its pidfile /run/d.pid is there"
    assert lines == [dead, "1", "it: not running", "gone", "0", "0", "0", dead]


@pytest.mark.root
def test_one_that_somebody_else_has_started(busybox: Path, tmp_path: Path) -> None:
    path = program(tmp_path, STAYS)
    lines = said(
        busybox,
        tmp_path,
        of("it", str(path)),
        f"{path} & echo $! >/run/it.pid; sleep 0.2; ./S status; ./S stop; ./S status; kill -0 $!",
    )
    assert lines[0].startswith("it: running, pid ")
    assert lines[1] == "it: stopped"
    assert "No such process" in lines[2] or lines[2:] == []


@pytest.mark.root
def test_respawn_waits_ever_longer_and_ends_when_told(busybox: Path, tmp_path: Path) -> None:
    path = program(tmp_path, "date +%s; exit 7")
    lines = said(
        busybox,
        tmp_path,
        of("it", str(path), respawn=True),
        """
        ./S start 2>/dev/null; echo $?
        sleep 3.2
        ./S status; cat /run/it.restarts; ./S stop
        ./S status; ps | grep -c '[r]espawn'
        cat /var/log/it.log
        """,
    )
    assert lines[:5] == [
        "1",
        "it: has ended and waits to be started again, restarts 2",
        "2",
        "it: stopped",
        "0",
    ]
    times = [int(line) for line in lines[5:] if line.isdecimal()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(pauses) == 2
    assert pauses[0] in (1, 2)
    assert pauses[1] in (2, 3)
    assert [line for line in lines[5:] if not line.isdecimal()] == [
        f"respawn: it ended with status 7, started again in {pause} s" for pause in (1, 2, 4)
    ]


@pytest.mark.root
def test_a_service_whose_respawn_was_killed_is_not_started_twice(
    busybox: Path, tmp_path: Path
) -> None:
    lines = said(
        busybox,
        tmp_path,
        of("it", str(program(tmp_path, STAYS)), respawn=True),
        """
        booting=yes ./S start 2>/dev/null
        until ./S status >/dev/null; do sleep 0.05; done
        kill -9 $(cat /run/it.respawn); sleep 0.1
        ./S status; booting=yes ./S start
        until ./S status >/dev/null; do sleep 0.05; done
        sleep 0.1; ps | grep -c '[p]rogram$'
        ./S stop; ps | grep -c '[p]rogram$'
        """,
    )
    assert lines == ["it: dead, but its pidfile /run/it.pid is there", "2", "0"]


@pytest.mark.root
@pytest.mark.parametrize("respawn", [False, True])
def test_what_it_leaves_behind_ends_with_it(busybox: Path, tmp_path: Path, respawn: bool) -> None:
    """The program first, which may look after its own; then the rest, also of one that was killed.

    But nobody else who has its old number.
    """
    child = "(trap 'echo told; exit' TERM; while :; do sleep 0.05; done) &"
    path = program(tmp_path, f"trap 'echo ending; sleep 0.2; exit' TERM; {child}\nwait")
    lines = said(
        busybox,
        tmp_path,
        of("it", str(path), respawn=respawn),
        """
        up() {
            booting=yes ./S start 2>/dev/null
            until ./S status >/dev/null; do sleep 0.05; done
            sleep 0.2
        }
        up; ./S stop
        ps | grep -c '[p]rogram$'
        up; kill -9 $(cat /run/it.*p*); sleep 0.1; ./S stop
        ps | grep -c '[p]rogram$'; grep -e ending -e told /var/log/it.log
        setsid sleep 100 & other=$!
        sleep 0.1; echo "$other 1 $other" >/run/it.started; ./S stop; kill -0 $other; echo $?
        """,
    )
    assert lines == ["0", "it: not running", "0", "ending", "told", "told", "it: not running", "0"]


@pytest.mark.root
def test_a_log_does_not_fill_the_memory(busybox: Path, tmp_path: Path) -> None:
    lines = said(
        busybox,
        tmp_path,
        of("it", str(program(tmp_path, STAYS))),
        """
        seq 50000 >/var/log/it.log
        booting=yes ./S start
        until [ -e /var/log/it.log ]; do sleep 0.05; done
        wc -c /var/log/it.log*
        """,
    )
    assert [line.split()[0] for line in lines] == ["0", "288894", "288894"]


@pytest.mark.root
def test_the_log_of_one_that_ends_again_and_again_does_not_fill_the_memory(
    busybox: Path, tmp_path: Path
) -> None:
    lines = said(
        busybox,
        tmp_path,
        of("it", str(program(tmp_path, "seq 50000")), respawn=True),
        """
        ./S start >/dev/null 2>&1
        until [ -e /var/log/it.log.0 ] && grep -q '^49999$' /var/log/it.log; do sleep 0.05; done
        tail -n 2 /var/log/it.log.0
        """,
    )
    assert lines == ["50000", "respawn: it ended with status 0, started again in 1 s"]
