"""Ordinary commands that fail ordinarily: what is found, and what nobody may be blamed for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootfs_tool.diagnosis.base import Evidence
from rootfs_tool.diagnosis.board import BoardFile
from rootfs_tool.diagnosis.chains import diagnose
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.network import Interface, Network
from tests.diagnosis.fault import NETWORK, TWO
from tests.diagnosis.test_recorded import silent

_PING = (
    "--- {0} ping statistics ---\n1 packets transmitted, {1} packets received, {2}% packet loss\n"
)
ANSWERED = "64 bytes from 10.0.2.2: seq=0 ttl=255 time=0.5 ms\n" + _PING.format("10.0.2.2", 1, 0)
LOST = _PING.format("10.0.2.1", 0, 100)
REFUSED = "nc: can't connect to remote host (127.0.0.1): Connection refused"
TAKEN = "nc: bind: Address already in use"
FAR = "198.51.100.1"
# A default route that leads to nobody, and a netmask that leaves out the gateway.
ASTRAY, NARROW = "gateway-outside-in-use", "wrong-netmask"


def failed(fault: str, command: str, said: str, network: Network = NETWORK) -> Evidence:
    """The board as it was recorded with ``fault``, where ``command`` failed and ``said`` so."""
    evidence = silent(fault, f"exited 1, not 0\n{said}\n")
    return replace(evidence, subject=Subject(command=command), network=network)


@pytest.mark.parametrize(
    ("fault", "network"),
    [("mode", NETWORK), ("nobody-there-not-the-other-cable", TWO), (ASTRAY, NETWORK)],
)
@pytest.mark.parametrize("named", ["10.0.2.2", "host.lan (10.0.2.2)"])
def test_who_answers_a_ping_and_then_nothing(fault: str, network: Network, named: str) -> None:
    command = "ping -c 1 10.0.2.2 && nc -w 1 10.0.2.2 80"
    said = ANSWERED.replace("from 10.0.2.2", f"from {named}")
    (one,) = diagnose(failed(fault, command, f"{said}nc: timed out", network))
    assert one.rule == "filtered"
    assert one.cause.startswith("10.0.2.2 is there")


def test_who_answered_a_ping_is_not_who_has_no_name() -> None:
    said = f"{ANSWERED}ping: bad address 'board.example'"
    evidence = failed(
        "no-route-to-name-server", "ping -c 1 10.0.2.2; ping -c 1 board.example", said
    )
    (one,) = diagnose(evidence)
    assert "no route to 192.0.2.53" in one.cause


def test_what_leaves_by_another_interface_says_nothing_of_this() -> None:
    """eth1 is not there, and would not have brought a default route."""
    said = _PING.format(FAR, 0, 100)
    evidence = failed("nobody-there-not-the-other-cable", f"ping -c 1 {FAR}", said, TWO)
    assert "no-driver" not in {one.rule for one in diagnose(evidence)}


@pytest.mark.parametrize("default_route", [True, False])
def test_a_lease_alone_would_have_brought_a_way(*, default_route: bool) -> None:
    eth1 = Interface(name="eth1", dhcp=True, default_route=default_route)
    evidence = failed("no-route", f"ping -c 1 {FAR}", "ping: sendto: Network is unreachable")
    (one,) = diagnose(replace(evidence, network=Network(hostname="board", interface=(eth1,))))
    assert one.cause.startswith("the board has no eth1")


PORTS = {
    "nc -w 2 127.0.0.1 $PORT": [],
    "nc -w 2 127.0.0.1 ${PORT}": [],
    "nc -v 127.0.0.1 ssh": [],
    "nc -n 127.0.0.1 http": [],
    "telnet -l root 127.0.0.1": [23],
    "telnet 127.0.0.1 2>&1": [23],
    "telnet 127.0.0.1 2323 </dev/null": [2323],
    "nc -l -s 127.0.0.1 -p 7200": [7200],
    "nc 127.0.0.1 7400 -e sleep 30": [7400],
    "timeout -s KILL 5 busybox nc -w1 127.0.0.1 80 | grep x": [80],
    "if ! A=1 /usr/bin/nc 127.0.0.1 80; then echo no; fi": [80],
    "su -s /bin/sh nobody -c 'httpd -f -p 127.0.0.1:443'": [443],
    "httpd -h /srv/a -p8080": [8080],
    "dropbear -Fp 22": [22],
    "httpd": [],
    "rsync-nc 127.0.0.1 80": [],
    "grep 'nc 127.0.0.1' 80": [],
    "nc -% 127.0.0.1 80": [],
}


@pytest.mark.parametrize("command", PORTS)
def test_no_option_and_no_part_of_an_address_is_a_port(command: str) -> None:
    assert failed("mode", command, "").ports() == PORTS[command]


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://root:1234@127.0.0.1/", []), ("http://[::1]:8080/", [8080]), ("x[12]:34", [])],
)
def test_a_password_is_no_port(url: str, port: list[int]) -> None:
    assert failed("mode", f"client {url}", "").ports() == port


# What is recorded of the board, the command, what it said, and the rules that know why.
CASES = [
    ("mode", "nc -w 2 127.0.0.1 $PORT", REFUSED, ""),
    ("port-taken", "nc -l -s 127.0.0.1 -p 7200", TAKEN, "port-taken"),
    ("mode", "nc -w1 10.0.2.2 22 && nc -w1 127.0.0.1 7001", REFUSED, "nobody-listens"),
    ("mode", "/tmp/client http://server.lan/", "connect: Connection refused", ""),
    ("mode", "/tmp/client", "connect to server.lan port 7001: Connection refused", ""),
    ("mode", "/tmp/client", "connect to localhost port 7001: Connection refused", "nobody-listens"),
    ("mode", "/tmp/client", "connect to port 7001: Connection refused", "nobody-listens"),
    (NARROW, "/tmp/a 10.0.2.2 9; ping 10.0.2.1", f"connect: Connection refused\n{LOST}", NARROW),
    ("mode", "/tmp/udp 127.0.0.1", "recv from port 7001: Connection refused", ""),
    ("mode", "/tmp/client", "10.0.2.15 to 10.0.2.2 port 9: Connection refused", "refused"),
    # EFAULT's text, numbers that are no address, and a server of the person's own choice.
    ("mode", "/tmp/client", "write: Bad address", ""),
    ("no-name-server", "ping 10.0.2.300", "ping: bad address '10.0.2.300'", ""),
    ("no-name-server", "ping http://a.example/", "ping: bad address 'http://a.example/'", ""),
    ("no-name-server", "nslookup a.example 10.0.2.2", ";; no servers could be reached", ""),
    # Errors of this board's own: its disks, and what is in the way of a program before it begins.
    (
        NARROW,
        "tftp -g -r a -l /ro/a 10.0.2.2",
        "tftp: can't open '/ro/a': Read-only file system",
        "",
    ),
    (NARROW, "wget http://10.0.2.2/a", "wget: can't open 'a': File exists", ""),
    (NARROW, "nc 10.0.2.2 htpp", "nc: bad port 'htpp'", ""),
    (NARROW, "grep ping /var/log/messages", "", ""),
    (NARROW, "wget http://10.0.2.2/a", "wget: server returned error: HTTP/1.1 404 Not Found", ""),
    (NARROW, "tftp -g -r a 10.0.2.2 6969", "tftp: server error: (1) no", "tftp-not-found"),
    (NARROW, "nc 10.0.2.2 80", "nc: read: Connection reset by peer", ""),
    (NARROW, "nc 10.0.2.10 80", "nc: timed out", ""),  # near, by this netmask and by that
    (NARROW, "telnet 10.0.2.2", "Connection closed by foreign host", ""),
    (NARROW, "ping -6 fec0::2", "ping: sendto: Network is unreachable", ""),
    ("lo-down", "grep 127.0.0.1 /etc/localhosts", "grep: /etc/localhosts: No such file", ""),
    ("lo-down", "ping -c 1 localhost", "ping: sendto: Network is unreachable", "lo-down"),
    ("full", "dd if=a of=/dev/vda", "dd: error writing '/dev/vda': No space left on device", ""),
    ("read-only", "dd if=a of=/dev/vda", "dd: can't open '/dev/vda': Read-only file system", ""),
    (
        "mode",
        "ssh localhost",
        "ssh: connect to host localhost port 23: Connection refused",
        "nobody-listens",
    ),
    ("mode", "ssh a.lan", "ssh: connect to host a.lan port 23: Connection refused", ""),
    ("no-carrier", "wget http://localhost:8080/", "wget: download timed out", ""),
    ("no-carrier", "/tmp/client", "recv timed out", "no-carrier"),
    ("no-carrier", "/tmp/lock", "flock: timed out waiting for the lock", ""),
    ("full", "tail -f a", "tail: inotify cannot be used: No space left on device", ""),
    # Who may not: a server, a route, a firewall of the board's own.
    (
        "route-refuses",
        "nc 192.0.2.1 80",
        "nc: can't connect to remote host (192.0.2.1): Permission denied",
        "route-refuses",
    ),
    (NARROW, "nc 192.0.2.1 80", "nc: can't connect to remote host: Permission denied", ""),
    ("mode", "dnsd -p 53", "dnsd: open /etc/bind/dnsd.conf: Permission denied", ""),
    ("port-taken", "/tmp/daemon", "bind /run/daemon.sock: Address already in use", ""),
    # Programs, and files that are called the same.
    ("mode", "cat /opt/exec/hello", "cat: can't open '/opt/exec/hello': Permission denied", ""),
    ("mode", "/opt/hello", "sh: /opt/hello: Permission denied", ""),
    ("mode", "/tmp/hello_world", "sh: /tmp/hello_world: Permission denied", ""),
    (
        "mode",
        "timeout 5 /tmp/hello",
        "timeout: can't execute '/tmp/hello': Permission denied",
        "mode",
    ),
    ("mode", "strace /tmp/hello", 'execve("/tmp/hello") = -1 EACCES (Permission denied)', "mode"),
    (
        "no-interpreter",
        "cp /data/script /tmp/script",
        "cp: can't stat '/data/script': No such file",
        "",
    ),
    ("no-interpreter", "cat ./script", "cat: can't open './script': No such file or directory", ""),
    ("dynamic", "/tmp/run.sh", "/tmp/run.sh: line 3: ./dynamic.out: not found", "dynamic"),
    ("other-directory", "/tmp/run.sh", "/tmp/run.sh: line 3: ./dynamic.out: not found", "dynamic"),
    ("other-directory", "su - user -c ./dynamic.out", "sh: ./dynamic.out: not found", "dynamic"),
    ("no-interpreter-of-env", "env A=1 mytol", "env: can't execute 'mytol': No such file", ""),
    (
        "no-library",
        "/tmp/greets.out",
        "/tmp/greets.out: error while loading shared libraries: libgreet.so.1: wrong ELF class",
        "",
    ),
    # The clock of a board without a battery is wrong whatever fails.
    ("clock", "/tmp/tool", "warning: --old will be removed in the future", ""),
    ("clock", "dmesg | grep -v spi", "spi0: the clock is 400 kHz", ""),
    ("clock", "openssl verify /tmp/cert", "error 10: certificate has expired", ""),
    ("clock", "tar xf a", "tar: a: time stamp 2026-11-21 is 9e8 s in the future", "clock"),
    (NARROW, "make", "make: *** [Makefile:2: all] Error 113", ""),
    (
        "mode",
        "tftp -p -l /none 10.0.2.2",
        "tftp: can't open '/none': No such file or directory",
        "",
    ),
    (
        "address-not-there",
        "ip addr del 10.0.9.9/24 dev eth0",
        "ip: RTNETLINK answers: Cannot assign requested address",
        "",
    ),
    ("mode", "/tmp/server 10.0.0.9", "bind: Cannot assign requested address", "address-not-there"),
]


@pytest.mark.parametrize(("fault", "command", "said", "rules"), CASES)
def test_who_is_blamed(fault: str, command: str, said: str, rules: str) -> None:
    found = diagnose(failed(fault, command, said))
    assert " ".join(one.rule for one in found) == rules, found


def with_file(path: str, head: bytes, said: str) -> Evidence:
    """A board that has one more program, and a command of that path."""
    evidence = failed("mode", path, said)
    file = BoardFile(path=path, mode=0o755, uid=0, size=20, head=head, run_by=())
    return replace(evidence, board=replace(evidence.board, files=(file,)))


def test_the_shell_that_answers_is_not_missing() -> None:
    evidence = with_file("/opt/tool", b"#!/bin/sh\necho yes\n", "sh: tool: not found")
    assert diagnose(evidence) == ()


@pytest.mark.parametrize("interpreter", ["tclsh", "fish", "wish"])
def test_not_all_that_ends_in_sh_is_a_shell(interpreter: str) -> None:
    head = f"#!/usr/bin/{interpreter}\n".encode()
    (one,) = diagnose(with_file("/opt/tool", head, "sh: /opt/tool: not found"))
    assert one.mend.startswith(f'packages = ["{interpreter}"] in the recipe')


def test_a_file_with_several_paths_is_told_of_once() -> None:
    evidence = failed("dynamic", "../tmp/dynamic.out", "sh: ../tmp/dynamic.out: not found")
    (file,) = (one for one in evidence.board.files if one.path == "/tmp/dynamic.out")
    files = (file, *(replace(file, path=f"{one}/../tmp/dynamic.out") for one in ("", "/root")))
    assert len(diagnose(replace(evidence, board=replace(evidence.board, files=files)))) == 1


def test_a_name_with_a_dash_is_no_option_of_tftp() -> None:
    command = "tftp -g -l /tmp/zImage-rpi3 -r zImage-rpi3 10.0.2.2 6969"
    (one,) = diagnose(failed("mode", command, "tftp: timeout"))
    assert one.cause == "no program of this host has UDP port 6969"
    (one,) = diagnose(failed("mode", command, "tftp: server error: (1) no such file"))
    assert "no file zImage-rpi3" in one.cause


def test_blocks_are_not_too_large_for_nobody() -> None:
    (one,) = diagnose(failed("nobody-there", "tftp -g -b 20000 -r a 10.0.2.77", "tftp: timeout"))
    assert one.rule == "nobody-there"


WORDS = [
    "nc",
    "httpd",
    "telnet",
    "tftp",
    "sh",
    "-c",
    "-p",
    "-l",
    "80",
    "²",
    ":",
    "'",
    "|",
    "(",
    ">",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS)))
def test_whatever_a_board_is_told_is_read(words: list[str]) -> None:
    diagnose(failed("mode", " ".join(words), REFUSED))
