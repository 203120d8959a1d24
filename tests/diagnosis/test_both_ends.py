"""A host and a board on one cable, each in a network namespace, and what stands between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.command import PROGRAM
from tests.diagnosis.cable import Cable, Results, ip

STRANGER = "02:00:00:00:00:99"

pytestmark = pytest.mark.root

ASK = "timeout 1 tftp -g -l /tmp/got -r {} 192.0.2.1"
# Each line is a check that fails, and what must be found.
COMMANDS = {
    "nc -w 1 192.0.2.1 7171": ("filtered", "let it pass in the firewall of 192.0.2.1"),
    "nc -w 2 192.0.2.1 7172": ("rejected", "let it pass in the firewall of 192.0.2.1"),
    ASK.format("kernel.img") + " 6969": (
        "tftp-wrong-folder",
        "on the board: tftp -g -r boot/kernel.img 192.0.2.1 6969",
    ),
    ASK.format("nothing.img") + " 6969": ("tftp-not-found", "copy it there: cp nothing.img "),
    ASK.format("boot/kernel.img"): (
        "tftp-other-port",
        "on the board: tftp -g -r boot/kernel.img 192.0.2.1 6969",
    ),
    ASK.format("boot/kernel.img") + " 7070": (
        "tftp-firewall",
        "on this host: sudo nft insert rule inet guard in udp dport 7070 accept",
    ),
    ASK.format("boot/kernel.img") + " 6969 -b 20000": (
        "tftp-block-size",
        "on the board: tftp -g -b 1428 -r boot/kernel.img 192.0.2.1 6969",
    ),
}
NO_SERVER = ASK.format("kernel.img")
TCP = {
    8080: ("loopback-only", "bind 0.0.0.0"),
    9300: ("filtered", "on the board, if it is there"),
    9301: ("rejected", "on the board, if it is there"),
    9302: ("rejected", "on the board, if it is there"),
}

GUARD = """\
table inet guard {{
  chain in {{ type filter hook input priority 0; {}; }}
}}
"""
# Before the kernel puts fragments together: NF_IP_PRI_CONNTRACK_DEFRAG is -400.
FRAGMENTS = """\
table ip pieces {
  chain in { type filter hook prerouting priority -450; ip frag-off & 0x3fff != 0 drop; }
}
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Results]]:
    """The results of a bring-up on each cable, all at the same time."""
    place = tmp_path_factory.mktemp("ends")
    with ExitStack() as stack:
        begun = {
            one.__name__: one(Cable(stack, one.__name__[0]), place / one.__name__)
            for one in (guarded, bare, apart, taken_twice)
        }
        yield {name: results() for name, results in begun.items()}


def tcp(*ports: int) -> str:
    return "".join(f'[[check]]\ntype = "tcp"\nport = {port}\ntimeout = 1\n' for port in ports)


def commands(*some: str) -> str:
    return "".join(f'[[check]]\ntype = "command"\ncommand = "{one}"\n' for one in some)


def guarded(cable: Cable, place: Path) -> Callable[[], Results]:
    """A firewall at each end, and two TFTP servers."""
    (place / "tftp" / "boot").mkdir(parents=True)
    (place / "tftp" / "boot" / "kernel.img").write_bytes(bytes(60000))
    unreachable = "reject with icmp type host-unreachable"
    here = f"udp dport 7070 drop; tcp dport 7171 drop; tcp dport 7172 {unreachable}"
    there = f"tcp dport 9300 drop; tcp dport 9301 {unreachable}"
    cable.filter(cable.host, GUARD.format(here))
    cable.filter(
        cable.board, GUARD.format(f"{there}; tcp dport 9302 reject with tcp reset") + FRAGMENTS
    )
    for port in ("6969", "7070"):
        serve = ("tftp-serve", place / "tftp", "--port", port, "--address", "192.0.2.1")
        cable.start(cable.host, PROGRAM, *serve)
    cable.serve_http("127.0.0.1:8080", "0.0.0.0:9300", "0.0.0.0:9301", "0.0.0.0:9302")
    cable.wait_for(cable.host, "udp", 2)
    return cable.bringup(place, commands(*COMMANDS) + tcp(*TCP))


def bare(cable: Cable, place: Path) -> Callable[[], Results]:
    """No server of TFTP's, and one of HTTP's at an address that is not the profile's."""
    cable.address(cable.board, "eth0", "192.0.2.3/24")
    cable.serve_http("192.0.2.3:8081")
    return cable.bringup(place, commands(NO_SERVER) + tcp(8081))


def apart(cable: Cable, place: Path) -> Callable[[], Results]:
    """The host's address is at another cable than the board's."""
    cable.plug("to-nobody", cable.end("n"))
    ip("-n", cable.host, "address", "flush", "dev", "to-board")
    cable.address(cable.host, "to-nobody", "192.0.2.1/24")
    cable.serve_http("0.0.0.0:9300")
    return cable.bringup(place, tcp(9300))


def taken_twice(cable: Cable, place: Path) -> Callable[[], Results]:
    """A third one at a switch has the board's address, and the host has met that one."""
    other = cable.end("o")
    cable.plug("to-other", other)
    ip("-n", cable.host, "link", "add", "switch", "type", "bridge")
    for port in ("to-board", "to-other"):
        ip("-n", cable.host, "link", "set", port, "master", "switch")
    ip("-n", cable.host, "link", "set", "switch", "up")
    ip("-n", cable.host, "address", "flush", "dev", "to-board")
    cable.address(cable.host, "switch", "192.0.2.1/24")
    ip("-n", other, "link", "set", "eth0", "address", STRANGER)
    cable.address(other, "eth0", "192.0.2.2/24")
    met = ("192.0.2.2", "lladdr", STRANGER, "dev", "switch")
    ip("-n", cable.host, "neighbour", "replace", *met, "nud", "permanent")  # else it is a race
    cable.serve_http("0.0.0.0:9300")
    return cable.bringup(place, tcp(9300))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_of_the_board_failed_of(reports: dict[str, Results], command: str) -> None:
    found = reports["guarded"][f"command {command}"]
    (one,) = found["diagnoses"]
    rule, mend = COMMANDS[command]
    assert one["rule"] == rule, found
    assert one["mend"].startswith(mend)
    assert one["evidence"]


@pytest.mark.parametrize("port", TCP)
def test_tcp_from_outside(reports: dict[str, Results], port: int) -> None:
    found = reports["guarded"][f"tcp {port}"]
    (one,) = found["diagnoses"]
    rule, mend = TCP[port]
    assert one["rule"] == rule, found
    assert one["mend"].startswith(mend)
    assert any(f":{port}/tcp" in line and "httpd" in line for line in one["evidence"])


def test_no_tftp_server_at_all(reports: dict[str, Results]) -> None:
    (one,) = reports["bare"][f"command {NO_SERVER}"]["diagnoses"]
    assert one["rule"] == "tftp-no-server", one
    assert one["cause"] == "no program of this host has UDP port 69"
    assert one["mend"] == "on this host: rootfs-tool tftp-serve DIR"
    assert one["evidence"]


def test_a_server_at_another_address_of_the_board(reports: dict[str, Results]) -> None:
    (one,) = reports["bare"]["tcp 8081"]["diagnoses"]
    assert one["rule"] == "other-address-bound", one
    assert "bound to 192.0.2.3" in one["cause"]
    assert one["mend"].startswith("bind 0.0.0.0 (INADDR_ANY) or 192.0.2.2 in the program")
    assert any("httpd" in line and "192.0.2.3:8081/tcp" in line for line in one["evidence"])


def test_a_board_on_another_cable(reports: dict[str, Results]) -> None:
    (one,) = reports["apart"]["tcp 9300"]["diagnoses"]
    assert one["rule"] == "board-not-there", one
    assert "nobody answers ARP for 192.0.2.2 on this host's to-nobody" in one["cause"]
    assert one["mend"].endswith("ip neighbour show 192.0.2.2")
    assert any("httpd" in line and ":9300/tcp" in line for line in one["evidence"])


def test_an_address_that_this_host_sees_twice(reports: dict[str, Results]) -> None:
    (one,) = reports["taken_twice"]["tcp 9300"]["diagnoses"]
    assert one["rule"] == "duplicate-address", one
    assert f"192.0.2.2 is taken twice: {STRANGER} answers for it too" in one["cause"]
    assert f"arping 192.0.2.2: reply from {STRANGER}" in one["evidence"]
    assert any(line.startswith("eth0: up, link, 192.0.2.2/24") for line in one["evidence"])
