"""Services, ports, files, logs and a reboot, each on a board where it is right and is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.checks.file import File
from rootfs_tool.checks.log import Log
from rootfs_tool.checks.port import Port
from rootfs_tool.checks.reboot import Reboot
from rootfs_tool.checks.service import Service, of_services
from tests.test_servicefiles import of, rendered, text

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

Start = Callable[..., Bench]
OWN = "mount -t tmpfs none /etc/init.d; mount -t tmpfs none /var/log;"


def refused(check: Check, bench: Bench) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        check.run(bench)
    return caught.value


def script(name: str, says: str, status: int) -> str:
    """A shell's command that writes an S-script with that status."""
    body = f'#!/bin/sh\n[ "$1" = status ] && echo {quote(says)} && exit {status}\n'
    return f"printf %s {quote(body)} >/etc/init.d/{name} && chmod 755 /etc/init.d/{name}\n"


@pytest.fixture
def services(board: Start) -> Bench:
    """A board with a service that runs, one that was started again, and one that ended."""
    bench = board(OWN)
    bench.shell.run(
        script("S50fine", "fine: running, pid 123, restarts 0", 0)
        + script("S51often", "often: running, pid 77, restarts 3", 0)
        + script("S60ended", "ended: dead, but its pidfile /run/ended.pid is there", 1)
        + script("S61odd", "all is well", 0)
        + "echo 'no such device: /dev/spidev0.0' >/var/log/ended.log\n"
        + "echo 'Nov 21 12:00:00 board daemon.err ended[9]: giving up' >/var/log/messages\n"
        + "echo 'Nov 21 12:00:01 board daemon.err other[10]: fine' >>/var/log/messages\n"
    )
    return bench


def test_a_service_that_runs(services: Bench) -> None:
    assert Service(service="fine").run(services) == "running, pid 123, restarts 0"


def test_a_service_that_ended_comes_with_its_last_words(services: Bench) -> None:
    error = refused(Service(service="ended"), services)
    assert str(error).splitlines() == [
        "ended: dead, but its pidfile /run/ended.pid is there",
        "/var/log/ended.log:",
        "no such device: /dev/spidev0.0",
        "/var/log/messages:",
        "Nov 21 12:00:00 board daemon.err ended[9]: giving up",
    ]
    assert error.hint == "on the board: /etc/init.d/S60ended start"


def test_what_its_program_logs_under_its_own_name_comes_too(services: Bench) -> None:
    written = rendered([of("ended", "/usr/sbin/crond -f", order=60)])["/etc/init.d/S60ended"]
    services.shell.run(
        f"printf %s {quote(text(written))} >/etc/init.d/S60ended\n"
        "for who in crond[3] crondy[4]; do echo board cron.err $who: no such directory; done "
        ">>/var/log/messages"
    )
    assert str(refused(Service(service="ended"), services)).splitlines()[-3:] == [
        "/var/log/messages:",
        "Nov 21 12:00:00 board daemon.err ended[9]: giving up",
        "board cron.err crond[3]: no such directory",
    ]


def test_a_service_that_was_started_again(services: Bench) -> None:
    error = refused(Service(service="often"), services)
    assert str(error) == "it ended and was started again 3 times"
    Service(service="often", restarts=3).run(services)


def test_a_service_that_is_not_there(services: Bench) -> None:
    error = refused(Service(service="fin"), services)
    assert str(error) == "the board has no service fin"
    assert str(error.hint).startswith("it has fine, often, ended, odd;")


def test_a_script_that_does_not_say(services: Bench) -> None:
    assert "'all is well'" in str(refused(Service(service="odd"), services))


def test_every_service_is_asked_once_on_the_first_boot() -> None:
    two = Service(service="two", restarts=2)
    assert of_services(["one", "two"], [two, Reboot()]) == (Service(service="one"),)
    assert len(of_services(["one", "two"], [Reboot(), two])) == 2, "that is another boot"


LISTENS = "ifconfig lo 127.0.0.1 up; busybox httpd -f -p {} -h /tmp &"


@pytest.mark.parametrize(("where", "open_to"), [("80", "all"), ("127.0.0.1:80", "loopback")])
def test_who_a_port_is_open_to(board: Start, where: str, open_to: str) -> None:
    bench = board(LISTENS.format(where))
    found = Port(port=80, open_to=open_to).run(bench)
    assert found.startswith(f"open to {open_to}, by ")
    assert "(pid " in found
    wanted = {"all": "loopback", "loopback": "all"}[open_to]
    error = refused(Port(port=80, open_to=wanted), bench)
    assert str(error).startswith(f"open to {open_to}, not to {wanted}, by ")
    assert ("127.0.0.1" in str(error.hint)) == (wanted == "loopback")


def test_a_port_of_one_address(board: Start) -> None:
    bench = board("ifconfig lo 192.0.2.9 up; busybox httpd -f -p 192.0.2.9:80 -h /tmp &")
    Port(port=80, open_to="192.0.2.9").run(bench)
    assert "not to 192.0.2.8" in str(refused(Port(port=80, open_to="192.0.2.8"), bench))


def test_a_port_that_nobody_listens_at(board: Start) -> None:
    bench = board(LISTENS.format("80"))
    Port(port=80).run(bench)
    error = refused(Port(port=81, wait=0), bench)
    assert str(error) == "nobody listens at TCP port 81"
    assert str(error.hint).startswith("there are listeners at 80:")
    assert "UDP port 80" in str(refused(Port(port=80, protocol="udp", wait=0), bench))


def test_a_port_that_opens_late_is_waited_for(board: Start) -> None:
    Port(port=80).run(board("{ sleep 0.5; busybox httpd -f -p 80 -h /tmp; } &"))


def test_nobody_else_may_be_named() -> None:
    with pytest.raises(ValueError, match='must be "all", "loopback" or an address'):
        Port(port=80, open_to="everybody")


@pytest.fixture
def files(board: Start) -> Bench:
    bench = board()
    bench.shell.run("printf 'one\\ntwo\\n' >/tmp/it; chmod 640 /tmp/it; mkdir /tmp/d")
    return bench


def test_a_file_as_it_should_be(files: Bench) -> None:
    found = File(
        path="/tmp/it", mode=0o640, owner="root:root", size=8, contains="two", content="one\ntwo\n"
    ).run(files)
    assert found == "regular file, mode 0640, root:root, 8 bytes"
    assert File(path="/tmp/nothing", absent=True).run(files) == "not there"
    assert File(path="/tmp/d").run(files).startswith("directory")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"path": "/tmp/nothing"}, "/tmp/nothing is not there"),
        ({"absent": True}, "/tmp/it is there: regular file, mode 0640"),
        ({"mode": 0o644, "owner": "www", "size": 9}, "mode 0640, not 0644; owner root, not www"),
        ({"contains": "three"}, "/tmp/it has no 'three': 'one\\ntwo\\n'"),
        ({"content": "one\n"}, "/tmp/it holds 'one\\ntwo\\n', not 'one\\n'"),
    ],
)
def test_a_file_that_is_not(files: Bench, fields: dict[str, Any], words: str) -> None:
    assert words in str(refused(File.model_validate({"path": "/tmp/it", **fields}), files))


def test_a_file_that_changes_late_is_waited_for(files: Bench) -> None:
    files.shell.run("(sleep 0.5; rm /tmp/it) >/dev/null 2>&1 &")
    File(path="/tmp/it", absent=True, wait=5).run(files)


def test_what_is_absent_has_no_mode() -> None:
    with pytest.raises(ValueError, match="absent"):
        File(path="/tmp/it", absent=True, mode=0o644)


def test_the_log(board: Start) -> None:
    bench = board(OWN)
    error = refused(Log(contains="x", wait=0), bench)
    assert str(error) == "the board has no /var/log/messages"
    assert "syslog = true" in str(error.hint)
    bench.shell.run(
        "cd /var/log; echo 'old: Caught [signal]' >messages.0; echo 'new: other' >messages"
    )
    assert Log(contains="Caught [signal]").run(bench) == "old: Caught [signal]"
    error = refused(Log(contains="caught", wait=0), bench)
    assert str(error) == "it has no 'caught'\nnew: other"
    assert Log(contains="caught", absent=True).run(bench) == "no such line"
    error = refused(Log(contains="other", absent=True), bench)
    assert str(error) == "it says: new: other"
    bench.shell.run("(sleep 0.5; echo late >>/var/log/messages) >/dev/null 2>&1 &")
    Log(contains="late").run(bench)


def test_a_board_that_does_not_reboot(board: Start) -> None:
    """Its first process is a shell, which does not hear `reboot`."""
    bench = board(net="--net --pid --fork --mount-proc")
    ours = bench.shell.run("readlink /proc/self/ns/pid").text.strip()
    assert ours != str(Path("/proc/self/ns/pid").readlink()), "it would be this host's"
    error = refused(Reboot(timeout=1), bench)
    assert str(error) == "the board did not restart within 1 s"
