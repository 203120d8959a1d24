"""The programs of examples/network on this host, with the sanitizers in them."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

PATIENCE = 10.0  # seconds


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("network")
    for source in (CHECKOUT / "examples" / "network").glob("*.c"):
        flags = ("-std=gnu11", "-g", "-pthread", "-fsanitize=address,undefined", "-Werror", "-Wall")
        subprocess.run(["gcc", *flags, source, "-o", directory / source.stem], check=True)
    return directory


@contextmanager
def running(program: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A server that listens at 127.0.0.1."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    process = subprocess.Popen(
        [program, "127.0.0.1", str(port)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        try:
            assert process.stdout is not None
            assert "listening at 127.0.0.1" in process.stdout.readline()
            yield process
            assert process.poll() is None
        finally:
            process.terminate()


def free() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as one:
        port: int = one.getsockname()[1]
        return port


def client(built: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [built / "echo_client", *words], capture_output=True, text=True, timeout=20, check=False
    )


def test_echo(built: Path) -> None:
    port = free()
    with running(built / "echo_server", port), ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(20)
        ]
        done = client(built, "127.0.0.1", str(port))
        assert done.returncode == 0, done.stderr
        assert "came back" in done.stdout
        large = bytes(range(256)) * 4000
        first = idle[0]
        first.settimeout(PATIENCE)
        heard = b""
        for at in range(0, len(large), 16000):
            first.sendall(large[at : at + 16000])
            while len(heard) < min(at + 16000, len(large)):
                heard += first.recv(65536)
        assert heard == large


def test_errors_name_the_address_the_port_and_the_number(built: Path) -> None:
    port = free()
    refused = client(built, "127.0.0.1", str(port))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"connect to 127.0.0.1 port {port}: error 111: ")
    with running(built / "echo_server", port):
        taken = subprocess.run(
            [built / "echo_server", "127.0.0.1", str(port)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert taken.stderr == f"bind to 127.0.0.1 port {port}: error 98: Address already in use\n"
    for wrong in (("nowhere",), ("127.0.0.1", "0"), ("127.0.0.1", "65536")):
        assert client(built, *wrong).returncode == 2


def test_http(built: Path) -> None:
    port = free()
    with running(built / "http_loopback", port):
        wanted = {
            ("GET", "/"): (200, b"hello from the board\n"),
            ("HEAD", "/"): (200, b""),
            ("GET", "/else"): (404, b"there is only /\n"),
            ("POST", "/"): (405, b"only GET and HEAD\n"),
        }
        for (method, path), (status, body) in wanted.items():
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as asking:
                asking.request(method, path)
                answer = asking.getresponse()
                assert (answer.status, answer.read()) == (status, body)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as long:
            long.sendall(b"G" * 4096)
            assert long.recv(100).startswith(b"HTTP/1.0 400 ")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as slow:
            idle = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(10)]
            begun = time.monotonic()
            slow.request("GET", "/")
            assert slow.getresponse().status == 200
            assert time.monotonic() - begun < PATIENCE / 2  # nobody waits for who says nothing
            for one in idle:
                one.close()
