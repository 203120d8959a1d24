"""Every rule against what a board said when it failed, as record.py has written it down."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootfs_tool.diagnosis import asking, board
from rootfs_tool.diagnosis.base import Diagnosis, Evidence
from rootfs_tool.diagnosis.chains import CHAINS, diagnose
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
