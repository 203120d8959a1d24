"""examples/aesdsocket on this host: how it starts, becomes a daemon, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import pytest

from tests.examples.conftest import Serve, gone, listening
from tests.examples.lines import PATIENCE, ask, connected, to_the_end, until

Daemon = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_trace(serve: Serve, number: signal.Signals) -> None:
    server = serve()
    with connected(server.port) as client:
        assert ask(client, b"kept until then\n") == b"kept until then\n"
        assert server.stop(number) == 0
        assert to_the_end(client) == b""
    assert not server.data.exists()
    last = server.log.read_text().splitlines()[-2:]
    assert last[0].endswith("Closed connection from 127.0.0.1")
    assert last[1].endswith("Caught signal, exiting")
    with pytest.raises(ConnectionRefusedError), connected(server.port):
        pass


def test_the_port_is_free_again_at_once(serve: Serve, daemon: Daemon, tmp_path: Path) -> None:
    first = serve()
    with connected(first.port) as client:
        ask(client, b"open when it ends\n")
        assert first.stop() == 0
        assert to_the_end(client) == b""
    assert daemon("-p", str(first.port)).returncode == 0, (tmp_path / "log").read_text()


def test_an_answer_under_way_comes_to_its_end(serve: Serve) -> None:
    server = serve()
    large = b"x" * (16 << 20) + b"\n"
    with connected(server.port) as client:
        client.sendall(large)
        started = until(client, b"x")
        server.process.send_signal(signal.SIGTERM)
        assert started + to_the_end(client) == large
    assert server.process.wait(PATIENCE) == 0
    assert not server.data.exists()


def test_a_signal_is_heard_however_busy_it_is(serve: Serve) -> None:
    server = serve()
    ready = Barrier(9)

    def hammer() -> None:
        with connected(server.port) as client, suppress(ConnectionError):
            client.sendall(b"\n" * 100_000)  # each is answered
            client.recv(1 << 20)
            ready.wait(PATIENCE)
            while client.recv(1 << 20):
                pass

    with ThreadPoolExecutor(8) as pool:
        hammering = [pool.submit(hammer) for _ in range(8)]
        ready.wait(PATIENCE)
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 5
        assert all(one.exception(PATIENCE) is None for one in hammering)


def test_a_client_that_does_not_read_keeps_it_for_two_seconds_only(serve: Serve) -> None:
    server = serve()
    with connected(server.port) as client:
        client.sendall(b"x" * (24 << 20) + b"\n")
        until(client, b"x")
        start = time.monotonic()
        assert server.stop() == 0
        assert 1.9 < time.monotonic() - start < 10
    assert not server.data.exists()


def test_what_a_killed_run_left_is_not_served(serve: Serve) -> None:
    first = serve()
    with connected(first.port) as client:
        ask(client, b"stale\n")
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert first.data.read_bytes() == b"stale\n"
    second = serve()
    with connected(second.port) as client:
        assert ask(client, b"fresh\n") == b"fresh\n"
    assert second.stop() == 0


def test_a_link_in_the_data_file_s_place_is_not_followed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine\n")
    (tmp_path / "data").symlink_to("precious")
    server = serve()
    with connected(server.port) as client:
        assert ask(client, b"a\n") == b"a\n"
    assert server.stop() == 0
    assert (tmp_path / "precious").read_text() == "mine\n"


@pytest.fixture
def daemon(compiled: Callable[[str], Path], tmp_path: Path) -> Iterator[Daemon]:
    """Run `aesdsocket -d`, to the end of the process that was started."""
    data, pidfile = tmp_path / "data", tmp_path / "pid"

    def started(*words: str) -> subprocess.CompletedProcess[str]:
        argv: list[str | Path] = [compiled("address"), "-d", "-p", "0", *words]
        argv[4:4] = ["-f", data, "-P", pidfile]  # words come after them, and win
        with (tmp_path / "log").open("w") as stderr:
            return subprocess.run(
                argv, stdout=stderr, stderr=stderr, text=True, timeout=PATIENCE, check=False
            )

    yield started
    if pidfile.is_file():
        os.kill(int(pidfile.read_text()), signal.SIGKILL)


def test_a_daemon_is_ready_when_its_parent_ends(daemon: Daemon, tmp_path: Path) -> None:
    assert daemon().returncode == 0
    pid = int((tmp_path / "pid").read_text())
    with connected(listening(tmp_path / "log")) as client:
        assert ask(client, b"to a daemon\n") == b"to a daemon\n"
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        assert {Path(f"/proc/{pid}/fd/{n}").readlink() for n in range(3)} == {Path("/dev/null")}
        assert os.getsid(pid) == pid
        os.kill(pid, signal.SIGTERM)
        assert to_the_end(client) == b""
    assert gone(pid)
    assert not (tmp_path / "pid").exists()
    assert not (tmp_path / "data").exists()


def test_a_port_that_is_taken_is_said_before_it_daemonizes(
    serve: Serve, daemon: Daemon, tmp_path: Path
) -> None:
    holder = serve()
    with connected(holder.port) as client:
        ask(client, b"the holder's\n")
    assert daemon("-p", str(holder.port)).returncode == 1
    said = (tmp_path / "log").read_text()
    assert f"cannot listen on port {holder.port}: Address already in use" in said
    assert not (tmp_path / "pid").exists()
    assert holder.data.read_bytes() == b"the holder's\n"
    assert holder.stop() == 0


@pytest.mark.parametrize(
    ("option", "words"), [("-f", "cannot create"), ("-P", "cannot become a daemon with")]
)
def test_files_that_cannot_be_made_end_it_with_the_reason(
    daemon: Daemon, tmp_path: Path, option: str, words: str
) -> None:
    assert daemon(option, "/proc/none").returncode == 1
    assert f"{words} /proc/none: No such file or directory" in (tmp_path / "log").read_text()
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "pid").exists()
