"""Every rule against what a board said when it failed, as record.py has written it down."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootfs_tool.diagnosis import asking, board
from rootfs_tool.diagnosis.base import Diagnosis, Evidence, of_network
from rootfs_tool.diagnosis.chains import CHAINS, diagnose
from rootfs_tool.diagnosis.host import Here, Serves
from rootfs_tool.diagnosis.subject import Subject
from tests.diagnosis.fault import HOST, NETWORK, Fault
from tests.diagnosis.faults import FAULTS

DATA = Path(__file__).parent.parent / "data" / "diagnosis"
END = "\n==> end of what was said <==\n"


def recorded(fault: Fault) -> Evidence:
    said, _, text = (DATA / f"{fault}.txt").read_text().partition(END)
    subject = replace(fault.subject, command=fault.command)
    return asking.read(text, said, subject, network=fault.network, seen_host=HOST)


def only(evidence: Evidence) -> Diagnosis:
    (one,) = diagnose(evidence)
    return one


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_failure_has_its_cause_and_the_line_that_mends_it(fault: Fault) -> None:
    one = only(recorded(fault))
    assert one.rule == fault.rule
    assert fault.cause in one.cause
    assert one.mend.startswith(fault.mend)
    assert one.evidence


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_nothing_is_blamed_where_something_else_was_said(fault: Fault) -> None:
    """All that is wrong with a board is no cause of what has nothing to do with it."""
    other = replace(recorded(fault), said="exited 3, not 0\n", subject=Subject())
    assert diagnose(other) == ()


def test_a_board_that_is_well_is_not_to_blame() -> None:
    well = next(one for one in FAULTS if one.rule == "mode")
    for rule in (rule for chain in CHAINS for rule in chain):
        network = Subject(network=True, peer=HOST)
        assert list(rule(replace(recorded(well), said="exited 1, not 0\n", subject=network))) == []


def silent(fault: str, said: str) -> Evidence:
    found = recorded(next(one for one in FAULTS if str(one) == fault))
    return replace(found, said=said)


def test_a_program_linked_with_glibc_alone_finds_no_names(tmp_path: Path) -> None:
    program = tmp_path / "lookup"
    program.write_bytes(b"\x7fELF /etc/nsswitch.conf libnss_ .so.2")  # as of glibc 2.31
    said = "getaddrinfo: board.example: Temporary failure in name resolution\n"
    evidence = replace(silent("mode", said), subject=Subject(program=program))
    assert only(evidence).rule == "static-glibc"
    program.write_bytes(b"\x7fELF libnss_%s.so%s")  # of 2.36, which has DNS in itself
    assert only(evidence).rule == "no-such-name"


def test_a_command_within_a_script_is_no_missing_interpreter() -> None:
    said = "exited 127, not 0\n/tmp/script: line 2: frobnicate: not found\n"
    assert diagnose(silent("no-interpreter", said)) == ()


def test_an_interpreter_that_is_there_is_not_missed() -> None:
    evidence = silent("dynamic", "sh: ./dynamic.out: not found\n")
    board = replace(evidence.board, libraries=frozenset({"/lib/ld-linux-aarch64.so.1"}))
    assert diagnose(replace(evidence, board=board)) == ()


@pytest.mark.parametrize(
    "said",
    [
        "cat: can't open '/tmp/hello': Permission denied",
        "cat: /tmp/hello: Permission denied",
        "sh: can't create /tmp/hello: Permission denied",
        "/tmp/hello: Permission denied",  # as perror() has it of what can't be read
    ],
)
def test_who_may_not_read_a_file_is_not_told_to_execute_it(said: str) -> None:
    assert diagnose(silent("mode", f"exited 1, not 0\n{said}\n")) == ()


def test_what_shows_the_hour_is_no_port() -> None:
    said = "Nov 21 16:40:12 client: connect to 127.0.0.1: Connection refused\n"
    evidence = silent("nobody-listens", said)
    assert diagnose(replace(evidence, subject=Subject(command="client"))) == ()


def test_who_is_refused_by_another_is_not_told_of_the_board_itself() -> None:
    said = "nc: can't connect to remote host: Connection refused\n"
    evidence = silent("nobody-listens", said)
    assert diagnose(replace(evidence, subject=Subject(command="nc -w 2 fec0::2 9"))) == ()


def test_a_command_that_was_told_nonsense_has_not_come_to_the_network() -> None:
    evidence = silent("gateway-outside-in-use", "Usage: nc [-iN] [-wN] [-l] [-p PORT]\n")
    assert diagnose(replace(evidence, subject=Subject(command="nc -x 192.0.2.1 80"))) == ()


def test_a_board_is_asked_by_who_needs_no_gateway() -> None:
    """This host is on the board's own cable: a gateway that is none has nothing to do with it."""
    said = "no answer in time (10.0.2.15 port 7000)\n"
    subject = Subject(network=True, port=7000, from_host=True)
    assert diagnose(replace(silent("gateway-outside-in-use", said), subject=subject)) == ()


def test_who_is_refused_has_found_the_way() -> None:
    """The netmask is wrong, and has nothing to do with it that nobody listens."""
    said = "no connection: Connection refused (10.0.2.15 port 23)\n"
    subject = Subject(network=True, port=23, from_host=True)
    one = only(replace(silent("wrong-netmask", said), subject=subject))
    assert one.rule == "nobody-listens"


@pytest.mark.parametrize(
    ("said", "rule", "mend"),
    [
        ("(1) file /srv/tftp/Image not found for 10.0.2.15", "tftp-not-found", "copy it there: cp"),
        (
            "(2) cannot access /srv/tftp/Image: Permission denied",
            "tftp-not-allowed",
            "on this host: chmod a+r /srv/tftp/Image",
        ),
    ],
)
def test_what_dnsmasq_says_of_a_file_that_it_does_not_send(said: str, rule: str, mend: str) -> None:
    evidence = silent("mode", f"exited 1, not 0\ntftp: server error: {said}\n")
    words = ("dnsmasq", "--tftp-root=/srv/tftp")
    server = Serves(address=HOST, port=69, words=words, root=Path("/srv/tftp"))
    subject = Subject(command="tftp -g -r Image 192.0.2.9")
    one = only(replace(evidence, here=Here(servers=(server,)), subject=subject))
    assert of_network(evidence.said, subject)  # else nobody looks at this host's servers
    assert one.rule == rule
    assert one.mend.startswith(mend)


def test_a_port_that_should_be_open_to_all() -> None:
    said = "open to loopback, not to all, by echo_server (pid 7)\n"
    evidence = replace(silent("port-taken", said), subject=Subject(port=7200))
    (mine,) = (one for one in evidence.state.sockets if one.port == 7200)
    sockets = (replace(mine, address=IPv4Address("127.0.0.1")),)
    one = only(replace(evidence, state=replace(evidence.state, sockets=sockets)))
    assert one.rule == "loopback-only"
    assert one.mend.startswith("bind 0.0.0.0")


def test_no_port_is_named_and_several_are_taken() -> None:
    evidence = silent("port-taken", "bind: Address already in use\n")
    one = only(replace(evidence, subject=Subject()))
    assert "by one of these" in one.cause
    assert any("listens at 0.0.0.0:7200" in line for line in one.evidence)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("no-address", "eth0 has no address: no DHCP server"),
        ("no-route", "eth0 has only 10.0.2.15/24, which it takes without a lease: no DHCP server"),
    ],
)
def test_who_is_asked_by_dhcp_and_gives_nothing(fault: str, cause: str) -> None:
    evidence = silent(fault, "ping: sendto: Network is unreachable\n")
    (eth0,) = NETWORK.interface
    fallback = IPv4Interface("10.0.2.15/24")
    changes = {"dhcp": True, "address": (), "gateway": None, "fallback": fallback}
    network = NETWORK.model_copy(update={"interface": (eth0.model_copy(update=changes),)})
    one = only(replace(evidence, network=network, subject=Subject(network=True)))
    assert one.rule == "no-lease"
    assert cause in one.cause
    assert "udhcpc -i eth0" in one.mend


@settings(deadline=None)
@given(st.text(max_size=400), st.integers(min_value=0, max_value=4000))
def test_whatever_a_board_says_is_read(noise: str, at: int) -> None:
    text = (DATA / "dynamic.txt").read_text().partition(END)[2]
    spoilt = text[:at] + noise + text[at:]
    board.parse(spoilt)
    asked = Subject(network=True, port=80, from_host=True, peer=IPv4Address("192.0.2.1"))
    diagnose(asking.read(spoilt, noise, asked, network=NETWORK, seen_host=HOST))
