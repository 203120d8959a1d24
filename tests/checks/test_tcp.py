"""A TCP service, asked from this host and from the board: right, wrong, silent and lossy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from rootfs_tool.checks.base import Bench, CheckFailed, CheckSkipped
from rootfs_tool.checks.tcp import Tcp
from tests.checks.servers import Alone, Keeps, echo, ends, serving, silent

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

Start = Callable[..., Bench]
PACKET: dict[str, Any] = {"send": "packet {tag}\n", "expect": "packet {tag}\n"}


@pytest.fixture
def bench(board: Start) -> Bench:
    """A board whose network is this host's."""
    return board(net="")


def refused(check: Tcp, bench: Bench) -> str:
    with pytest.raises(CheckFailed) as caught:
        check.run(bench)
    return str(caught.value)


def test_an_answer(bench: Bench) -> None:
    with serving(echo) as port:
        check = Tcp(port=port, send="a\0b\\n ü%s\n", expect="a\0b\\n ü%s\n")
        assert check.run(bench).startswith("1 answered, 11 bytes in ")
        on_board = check.model_copy(update={"origin": "board"})
        assert on_board.run(bench).startswith("answered, 11 bytes in ")


@pytest.mark.parametrize("origin", ["host", "board"])
def test_another_answer_is_shown(bench: Bench, origin: str) -> None:
    with serving(echo) as port:
        check = Tcp.model_validate(
            {"port": port, "send": "no\n", "expect": "yes", "origin": origin, "timeout": 1}
        )
        said = refused(check, bench)
    assert "'no\\n'" in said
    assert said.startswith("nothing more came in time" if origin == "host" else "answered 'no")


def test_nobody_there(bench: Bench) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert refused(Tcp(port=port), bench).startswith("no connection: Connection refused")
    said = refused(Tcp(port=port, origin="board"), bench)
    assert said.startswith("no connection: can't connect to remote host")
    assert "Connection refused" in said


def test_a_connection_alone_must_hold(bench: Bench) -> None:
    with serving(silent) as port:
        Tcp(port=port).run(bench)
        Tcp(port=port, origin="board").run(bench)
    with closing(socket.create_server(("127.0.0.1", 0), backlog=1)) as server:
        server.settimeout(5)
        with hanging_up(server):
            said = refused(Tcp(port=server.getsockname()[1]), bench)
    assert said.startswith("the connection was closed at once: nobody listens")


def test_a_service_that_says_nothing_and_one_that_hangs_up(bench: Bench) -> None:
    with serving(silent) as port:
        start = time.monotonic()
        said = refused(Tcp(port=port, send="hi\n", expect="hi", timeout=0.5), bench)
        assert time.monotonic() - start < 3
    assert said.startswith("nothing more came in time, after no answer to 'hi\\n'")
    with serving(ends) as port:
        said = refused(Tcp(port=port, send="hi\n", expect="hi"), bench)
    assert said.startswith("the connection was closed after no answer to 'hi\\n'")


def test_fifty_clients_and_a_thousand_packets(bench: Bench) -> None:
    keeps = Keeps()
    with serving(keeps) as port:
        check = Tcp(port=port, clients=50, packets=20, kept=True, **PACKET)
        assert check.title == f"tcp {port}, 50 clients, 1000 packets"
        assert check.run(bench).startswith("1000 answered, ")
    assert len(set(keeps.lines)) == 1001  # and the one that asked for all of them


@pytest.mark.parametrize(
    ("often", "words"),
    [(0, "1 of 100 packets are lost; the first is 'packet "), (2, "1 of 100 packets are there")],
)
def test_what_is_lost_or_kept_twice_is_counted(bench: Bench, often: int, words: str) -> None:
    with serving(Keeps(lambda number: often if number == 42 else 1)) as port:
        check = Tcp(port=port, clients=10, packets=10, kept=True, **PACKET)
        assert words in refused(check, bench)


def test_a_service_for_one_client_at_a_time_fails_with_two(bench: Bench) -> None:
    with serving(Alone()) as port:
        Tcp(port=port, packets=3, **PACKET).run(bench)
    with serving(Alone()) as port:
        said = refused(Tcp(port=port, clients=2, packets=3, timeout=1, **PACKET), bench)
    assert said.startswith("packet 1 of 3: nothing more came in time")


def test_without_a_way_to_the_board_it_is_skipped(bench: Bench) -> None:
    nowhere = replace(bench, reach=lambda port: None)
    with pytest.raises(CheckSkipped, match='forward = \\["10022:22"\\] in the recipe'):
        Tcp(port=22).run(nowhere)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"origin": "board", "clients": 2}, "come from this host"),
        ({"origin": "board", "send": "x" * 10_001}, "up to 10,000 bytes"),
        ({"packets": 2, "send": "x"}, "packets need send, and expect"),
        ({"kept": True, "send": "x", "expect": "x"}, "kept needs {tag}"),
        ({"send": "x", "expect": "{tag}"}, "expect has {tag}, which send has not"),
    ],
)
def test_what_makes_no_sense(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Tcp(port=9000, **fields)


@contextmanager
def hanging_up(server: socket.socket) -> Iterator[None]:
    """QEMU takes a connection before it knows that the board refuses it; then it closes it."""
    thread = threading.Thread(target=lambda: server.accept()[0].close())
    thread.start()
    yield
    thread.join()
