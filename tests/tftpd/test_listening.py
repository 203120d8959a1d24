"""The port: had, taken, forbidden, or handed over; and root's rights given up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd import listening, privileges

STARTS_AT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def test_by_default_it_listens_everywhere_on_one_port() -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(one)) for one in listening.listen(None, 0)]
        addresses = {one.getsockname()[0] for one in sockets}
        ports = {one.getsockname()[1] for one in sockets}
    assert "0.0.0.0" in addresses
    assert addresses <= set(listening.ANY)
    assert len(ports) == 1


@pytest.mark.parametrize(("address", "place"), [("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")])
def test_or_on_one_address(address: str, place: str) -> None:
    (one,) = listening.listen(address, 0)
    with closing(one):
        assert listening.place(one) == f"{place}{one.getsockname()[1]}"


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_said(address: str) -> None:
    with pytest.raises(ConfigError, match=address):
        listening.listen(address, 0)


def test_who_has_a_taken_port_is_said() -> None:
    (other,) = listening.listen("127.0.0.1", 0)
    with closing(other):
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"port {port} of .* taken by \S+ \(pid {os.getpid()}"
        ):
            listening.listen("127.0.0.1", port)
    assert listening.holder(port) == ""


@pytest.mark.root
def test_another_user_s_program_is_told_by_its_user() -> None:
    asking = "import sys; from rootfs_tool.tftpd import listening; print(listening.holder({}))"
    (other,) = listening.listen("127.0.0.1", 0)
    with closing(other):
        done = as_nobody(asking.format(other.getsockname()[1]))
    assert done.stdout == "a program of root\n", done.stderr


@pytest.mark.root
def test_who_may_not_open_port_69_is_told_what_makes_it_possible() -> None:
    if int(STARTS_AT.read_text()) <= 69:
        pytest.skip("anybody may open port 69 here")
    done = as_nobody("from rootfs_tool.tftpd import listening as l; l.listen('127.0.0.1', 69)")
    assert "ConfigError: this user may not open UDP port 69" in done.stderr
    hint = as_nobody(
        "from rootfs_tool.tftpd import listening as l\n"
        "try: l.listen('127.0.0.1', 69)\n"
        "except Exception as error: print(error.hint)"
    ).stdout
    assert "sysctl net.ipv4.ip_unprivileged_port_start=69" in hint
    assert "--print-unit socket" in hint
    assert "setcap" in hint


def as_nobody(code: str) -> subprocess.CompletedProcess[str]:
    """What is imported may be where nobody can read: import it first."""
    drop = "import os, encodings.idna, rootfs_tool.tftpd.listening\n"
    drop += "os.setgid(65534); os.setuid(65534)\n"
    argv = [sys.executable, "-c", drop + code]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


PASSED = """
import os, sys
os.environ["LISTEN_PID"] = sys.argv[1] or str(os.getpid())
from rootfs_tool.tftpd import listening
sockets = listening.passed()
print([listening.place(one) for one in sockets], [n for n in os.environ if "LISTEN" in n])
"""


def activated(*fds: int, pid: str = "") -> subprocess.CompletedProcess[str]:
    """Start a program with descriptors from 3 on, as systemd does; sd_listen_fds(3)."""
    moved = [os.dup2(fd, 100 + n) for n, fd in enumerate(fds)]  # out of the way of 3, 4, …
    shell = "".join(f"exec {3 + n}<&{fd} {fd}<&-; " for n, fd in enumerate(moved))
    try:
        return subprocess.run(
            ["bash", "-c", f'{shell}exec "$@"', "-", sys.executable, "-c", PASSED, pid],
            env={**os.environ, "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": "x"},
            pass_fds=moved,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for fd in moved:
            os.close(fd)


def test_systemd_s_sockets_are_taken_over() -> None:
    with ExitStack() as stack:
        both = [
            stack.enter_context(closing(one))
            for address in ("127.0.0.1", "::1")
            for one in listening.listen(address, 0)
        ]
        done = activated(*(one.fileno() for one in both))
        assert done.stdout == f"{[listening.place(one) for one in both]} []\n", done.stderr
        not_ours = activated(both[0].fileno(), pid="1")
        assert not_ours.stdout.startswith("[] "), not_ours.stderr


def test_a_socket_that_is_not_udp_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, (tmp_path / "x").open("w") as x:
        for one in (tcp, x):
            done = activated(one.fileno())
            assert "ConfigError: LISTEN_FDS: descriptor 3" in done.stderr


def test_the_addresses_of_this_host_come_with_loopback_last() -> None:
    found = listening.own_addresses()
    assert found[-1] == "127.0.0.1"


DROP = """
import os, sys
from pathlib import Path
from rootfs_tool.tftpd import privileges
directory = os.open(sys.argv[1], os.O_PATH)
user = privileges.drop(sys.argv[2] or None, directory)
try:
    os.setuid(0)
except PermissionError:
    pass
status = Path("/proc/self/status").read_text().splitlines()
shown = {line.split(":")[0]: line.split()[1:] for line in status}
print(user, *shown["Uid"], *shown["Gid"], *shown["Groups"], *shown["CapEff"], *shown["NoNewPrivs"])
print(privileges.unreadable(directory))
"""


def dropped(directory: Path, user: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", DROP, str(directory), user]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


NOBODY = ["nobody", *["65534"] * 8, "65534", "0000000000000000", "1"]


@pytest.mark.root
def test_root_becomes_nobody_for_good(tmp_path: Path) -> None:
    """Who owns the directories above it does not matter: it is open already."""
    served = tmp_path / "private" / "served"
    served.mkdir(parents=True, mode=0o755)
    served.parent.chmod(0o700)
    (served / "open").touch()
    (served / "hidden").touch(0o600)
    done = dropped(served)
    assert done.stdout.splitlines()[0].split() == NOBODY, done.stderr
    assert done.stdout.splitlines()[1] == "['hidden']"


@pytest.mark.root
def test_or_whom_the_directory_belongs_to(tmp_path: Path) -> None:
    os.chown(tmp_path, 1, 1)  # Debian's daemon
    assert dropped(tmp_path).stdout.split()[:2] == ["daemon", "1"]
    assert dropped(tmp_path, "nobody").stdout.split()[:2] == ["nobody", "65534"]
    assert "no such user" in dropped(tmp_path, "no-such-user").stderr
    os.chown(tmp_path, 54321, 54321)
    assert "user 54321, which has no name here" in dropped(tmp_path).stderr


@pytest.mark.root
def test_a_directory_that_is_not_for_that_user_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    done = dropped(tmp_path)
    assert "ConfigError: user 65534 may not read the directory" in done.stderr


def test_one_s_own_directory_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    directory = os.open(tmp_path, os.O_PATH)
    try:
        assert privileges.unreadable(directory) == []
    finally:
        os.close(directory)
