"""A board's network as a table: boards that were recorded, and what should steer no terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rootfs_tool.netstate import State, View, parse
from rootfs_tool.netstate.listening import listening
from rootfs_tool.netstate.outside import Outside
from rootfs_tool.netstate.scan import Answer, Door, Knock
from rootfs_tool.netstate.view import Connection, Seen
from rootfs_tool.report import net

RECORDED = Path(__file__).parent.parent / "data" / "netstate"


def view(name: str, seen: tuple[Seen, ...] = (), **changes: str) -> View:
    text = (RECORDED / f"{name}.txt").read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    return of(parse(text), seen)


def of(state: State, seen: tuple[Seen, ...] = ()) -> View:
    return View(
        board=state,
        outside=Outside(why="nobody looked"),
        listening=listening(state),
        connections=tuple(
            Connection(socket=one, programs=()) for one in state.sockets if not one.listens
        ),
        seen=seen,
    )


def rows(shown: View) -> list[list[str]]:
    return [line.split() for line in net.lines(shown)]


def test_a_board() -> None:
    found = rows(view("qemu-aarch64"))
    assert ["default", "10.0.2.2", "eth0", "0"] in found
    assert ["10.0.2.77", "nobody", "answers", "eth0", "incomplete"] in found
    assert ["name", "servers:", "10.0.2.3"] in found
    assert ["tcp", "23", "(telnet)", "all", "addresses", "-", "telnetd", "(pid", "190)"] in [
        row[:9] for row in found
    ]
    assert ["from", "this", "host:", "nobody", "looked"] in found


def test_all_kinds_of_sockets() -> None:
    found = [" ".join(row) for row in rows(view("iproute2"))]
    assert any(row.startswith("raw (icmp) all addresses - python3 (pid ") for row in found)
    assert any("bbs" in row or "7000" in row for row in found if ", 2 sockets" in row)
    assert any(row.startswith("eth1 down 192.0.2.130/25") for row in found)
    assert any(row.startswith("203.0.113.64/26 unreachable") for row in found)
    assert any(row.startswith("tcp 127.0.0.1:") and " TIME_WAIT -" in row for row in found)
    assert any(row.startswith("udp 192.0.2.2:") and "192.0.2.1:53" in row for row in found)


def test_whose_sockets_they_are_is_not_guessed() -> None:
    assert any("another user's" in line for line in net.lines(view("not-root")))
    state = replace(parse((RECORDED / "qemu-aarch64.txt").read_text()), holders={})
    assert any("unknown" in line for line in net.lines(of(state)))
    state = replace(state, holders={1: ()})
    assert any("the kernel's" in line for line in net.lines(of(state)))


def test_a_name_steers_no_terminal() -> None:
    shown = "\n".join(
        net.lines(view("qemu-aarch64", telnetd="tel\x1b[2Jnetd", nobody="no\x9bbody"))
    )
    assert "tel\\x1b[2Jnetd" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_thousands_of_connections() -> None:
    one = view("iproute2")
    many = replace(one, connections=one.connections * 500)
    assert f"and {len(many.connections) - 50:,} more" in list(net.lines(many))


@pytest.mark.parametrize(
    ("answer", "reason", "shown"),
    [
        ("open", "", "open"),
        ("refused", "", "refused"),
        ("filtered", "", "filtered: no answer"),
        ("unreachable", "No route to host", "unreachable: No route to host"),
        ("no way", "", "no way"),
    ],
)
def test_what_is_seen_of_a_port(answer: Answer, reason: str, shown: str) -> None:
    door = Door(port=23, where=None if answer == "no way" else ("192.0.2.2", 23))
    knock = Knock(door=door, answer=answer, reason=reason)
    seen = Seen(knock=knock, expected="open", demanded=False)
    lines = list(net.lines(view("qemu-aarch64", (seen,))))
    (row,) = (line for line in lines if line.startswith("tcp 23 (telnet)"))
    assert f"  {shown}" in row
    strange = answer not in ("open", "no way")
    assert ("(!)" in row) is strange
    assert any(line.startswith("(!) tcp 23 is ") for line in lines) is strange


def test_who_answers_for_the_board() -> None:
    there = Outside(
        board=IPv4Address("10.0.2.15"),
        source=IPv4Address("10.0.2.1"),
        interface="tap0",
        claimed_by=("52:54:00:12:34:56", "02:00:00:00:00:99"),
        ping=0.00042,
    )
    lines = list(net.lines(replace(view("qemu-aarch64"), outside=there)))
    assert (
        "from this host: 10.0.2.1 on tap0 to 10.0.2.15; "
        "ARP: 52:54:00:12:34:56, 02:00:00:00:00:99; ping: 0.4 ms"
    ) in lines
    assert "10.0.2.15 is not the board's alone: 02:00:00:00:00:99 answers for it too" in lines


def test_all_of_it_as_json() -> None:
    door = Door(port=23, where=("192.0.2.2", 23))
    seen = Seen(knock=Knock(door=door, answer="open"), expected="closed", demanded=True)
    table = json.loads(net.to_json(view("iproute2", (seen,))))
    assert table["board"]["interfaces"][0]["addresses"] == ["127.0.0.1/8", "::1/128"]
    assert table["board"]["routes"][0]["destination"] == "0.0.0.0/0"
    assert (table["as_demanded"], table["seen"][0]["as_expected"]) == (False, False)
    inodes = [str(one["socket"]["inode"]) for one in table["connections"]]
    names = {table["board"]["holders"][one][0]["name"] for one in inodes if one != "0"}
    assert names == {"python3"}
