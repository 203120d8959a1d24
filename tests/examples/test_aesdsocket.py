"""examples/aesdsocket on this host: what its clients get, whatever the others do."""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.conftest import SOURCE, STRICT, Serve
from tests.examples.lines import PATIENCE, all_at_once, ask, connected, exactly, to_the_end, until


def test_the_analyzer_finds_nothing(tmp_path: Path) -> None:
    # It loses track of what clients[] points to and calls that a leak. The tests here run with
    # the leak sanitizer, which knows.
    analyzer = ("-O2", "-fanalyzer", "-Wno-analyzer-malloc-leak")
    subprocess.run(["gcc", *STRICT, *analyzer, "-o", tmp_path / "analyzed", SOURCE], check=True)


def test_every_packet_is_answered_with_all_that_came_so_far(serve: Serve) -> None:
    server = serve()
    # It listens on every address: 127.0.0.2 is one more of this host's.
    with connected(server.port) as one, connected(server.port, "127.0.0.2") as other:
        assert ask(one, b"first\n") == b"first\n"
        assert ask(other, b"second\n") == b"first\nsecond\n"
        assert ask(one, b"\n") == b"first\nsecond\n\n"
    assert server.data.read_bytes() == b"first\nsecond\n\n"
    log = server.said("Closed connection from 127.0.0.1")
    assert "Accepted connection from 127.0.0.1" in log
    assert server.stop() == 0


def test_packets_are_found_however_the_bytes_come(serve: Serve) -> None:
    server = serve()
    with connected(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"one by one\n":
            client.sendall(bytes([byte]))
        assert until(client, b"\n") == b"one by one\n"
        client.sendall(b"a\nb\n\0c\npart")
        one, two, three = b"one by one\na\n", b"one by one\na\nb\n", b"one by one\na\nb\n\0c\n"
        assert until(client, three) == one + two + three
        assert ask(client, b" of it\n") == three + b"part of it\n"
    assert server.stop() == 0


def test_what_has_no_newline_is_dropped_with_its_client(serve: Serve) -> None:
    server = serve()
    with connected(server.port) as client:
        client.sendall(b"whole\nwithout an end")
        client.shutdown(socket.SHUT_WR)
        assert to_the_end(client) == b"whole\n"
    with connected(server.port) as client:
        assert ask(client, b"next\n") == b"whole\nnext\n"
    assert server.stop() == 0


def test_a_huge_packet_is_one_packet_and_holds_nobody_up(serve: Serve) -> None:
    server = serve()
    huge = os.urandom(6 << 20).replace(b"\n", b"n") + b"\n"
    with connected(server.port) as client, connected(server.port) as other:
        client.sendall(huge[: 3 << 20])
        assert ask(other, b"in between\n") == b"in between\n"
        assert ask(client, huge[3 << 20 :]) == b"in between\n" + huge
    assert server.data.read_bytes() == b"in between\n" + huge
    assert server.stop() == 0


@pytest.mark.parametrize("kind", ["plain", "address", "thread"])
def test_fifty_clients_at_once_lose_nothing_of_a_thousand_packets(serve: Serve, kind: str) -> None:
    server = serve(kind)
    sent = all_at_once(server.port, clients=50, packets=20)
    lines = server.data.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1000
    assert set(lines) == sent
    assert server.stop() == 0


def test_a_client_that_does_not_read_stalls_nobody(serve: Serve) -> None:
    server = serve()
    large = b"x" * (24 << 20) + b"\n"  # more than both kernels' buffers take
    with connected(server.port) as lazy, connected(server.port) as other:
        lazy.sendall(large + b"and more\n" * 1000)
        deadline = time.monotonic() + PATIENCE
        while server.data.stat().st_size < len(large):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        before = server.busy()
        answer = ask(other, b"other\n")
        assert len(answer) < len(large) + 100, "packets are taken from it all the same"
        time.sleep(0.3)
        assert server.busy() - before < 0.25, "it is waited for by asking again and again"
        lazy.settimeout(0.5)
        with pytest.raises(TimeoutError):  # nor is more read than can be answered
            lazy.sendall(b"m" * (64 << 20))
        lazy.settimeout(PATIENCE)
        assert exactly(lazy, len(large)) == large
    assert server.stop() == 0


def test_clients_that_break_off_leave_the_others_alone(serve: Serve) -> None:
    server = serve()
    large = b"y" * (6 << 20) + b"\n"
    with connected(server.port) as steady:
        for _ in range(5):
            with connected(server.port) as rude:
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                rude.sendall(large + b"half a pack")
                until(rude, b"y")  # the answer is under way when the connection is reset
        assert ask(steady, b"still here\n") == large * 5 + b"still here\n"
    assert server.said("Accepted").count("Accepted") == 6
    assert server.stop() == 0


def test_clients_that_come_and_go_together_are_not_mixed_up(serve: Serve) -> None:
    server = serve()
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for number, client in enumerate(clients):
        client.settimeout(PATIENCE)
        ask(client, b"client %d\n" % number)
    server.process.send_signal(signal.SIGSTOP)  # what comes now, comes at once
    for number, client in enumerate(clients):
        if number % 3:
            client.sendall(b"again %d\n" % number)
        else:
            client.close()
    server.process.send_signal(signal.SIGCONT)
    for number, client in enumerate(clients):
        if number % 3:
            until(client, b"again %d\n" % number)
            client.close()
    lines = server.data.read_bytes().splitlines()
    assert sorted(lines[20:]) == sorted(b"again %d" % one for one in range(20) if one % 3)
    assert server.stop() == 0
    assert server.log.read_text().count("Closed connection") == 20


def test_no_memory_for_a_packet_costs_only_its_client(serve: Serve) -> None:
    server = serve("plain")  # a sanitizer wants terabytes of addresses
    pid = server.process.pid
    resource.prlimit(pid, resource.RLIMIT_AS, (32 << 20, 32 << 20))
    with connected(server.port) as greedy, connected(server.port) as modest:
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            greedy.sendall(b"z" * (64 << 20))
        server.said("no memory for the packet of 127.0.0.1: Cannot allocate memory")
        assert ask(modest, b"modest\n") == b"modest\n"
    assert server.stop() == 0


def test_a_full_disk_keeps_no_half_of_a_packet(serve: Serve) -> None:
    server = serve()
    with connected(server.port) as small, connected(server.port) as large:
        assert ask(small, b"before\n") == b"before\n"
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
        large.sendall(b"l" * 60_000 + b"\n")
        assert to_the_end(large) == b""
        assert "cannot append for 127.0.0.1: File too large" in server.said("cannot append")
        assert ask(small, b"after\n") == b"before\nafter\n"
    assert server.data.read_bytes() == b"before\nafter\n"
    assert server.stop() == 0


def test_more_clients_than_descriptors_wait_for_their_turn(serve: Serve) -> None:
    server = serve("plain")
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (12, 12))
    with connected(server.port) as last_of_all:
        assert ask(last_of_all, b"early\n") == b"early\n"
        early = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
        server.said("cannot accept more clients: Too many open files")
        before = server.busy()
        time.sleep(0.3)
        assert server.busy() - before < 0.1, "it asks for them again and again"
        for one in early[:-1]:
            one.close()
        early[-1].settimeout(PATIENCE)
        assert ask(early[-1], b"late\n") == b"early\nlate\n"
        early[-1].close()
    assert server.stop() == 0


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "x"],
        ["-p", ""],
        ["-p", "65536"],
        ["-p", "-1"],
        ["-p", "4294976296"],
        ["-f", "relative"],
        ["-d", "-P", "relative"],
        ["-q"],
        ["more"],
    ],
    ids=" ".join,
)
def test_a_mistyped_line_is_told_so(compiled: Callable[[str], Path], words: list[str]) -> None:
    argv: list[str | Path] = [compiled("address"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "usage: " in done.stderr
