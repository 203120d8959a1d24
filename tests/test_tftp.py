"""The server against real clients: tftp-hpa and BusyBox."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from rootfs_tool import tftp
from rootfs_tool.errors import ConfigError


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(os.urandom(100_000))
    return path


def busybox_get(server: tftp.Server, name: str, to: Path, size: int) -> int:
    argv = ["busybox", "tftp", "-g", "-b", str(size), "-r", name, "-l", str(to)]
    return subprocess.run(
        [*argv, server.address, str(server.port)], capture_output=True, timeout=30, check=False
    ).returncode


@pytest.mark.parametrize("size", [512, 1428, 65464])
def test_busybox_fetches_the_same_bytes(blob: Path, tmp_path: Path, size: int) -> None:
    with tftp.serve({"blob": blob}, "127.0.0.1") as server:
        assert busybox_get(server, "blob", tmp_path / "got", size) == 0
    assert (tmp_path / "got").read_bytes() == blob.read_bytes()


def test_tftp_hpa_fetches_the_same_bytes(blob: Path, tmp_path: Path) -> None:
    with tftp.serve({"blob": blob}, "127.0.0.1") as server:
        argv = ["tftp", "-m", "binary", server.address, str(server.port), "-c", "get", "blob"]
        subprocess.run([*argv, str(tmp_path / "got")], check=True, timeout=30)
    assert (tmp_path / "got").read_bytes() == blob.read_bytes()


@pytest.mark.parametrize("length", [0, 511, 512, 1024])
def test_empty_files_and_whole_blocks_arrive(tmp_path: Path, length: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * length)
    with tftp.serve({"file": tmp_path / "file"}, "127.0.0.1") as server:
        assert busybox_get(server, "file", tmp_path / "got", 512) == 0
    assert (tmp_path / "got").read_bytes() == b"x" * length


def test_only_what_is_served_is_there(blob: Path, tmp_path: Path) -> None:
    with tftp.serve({"blob": blob}, "127.0.0.1") as server:
        for name in ("other", "../../etc/passwd", "/etc/passwd", str(blob)):
            assert busybox_get(server, name, tmp_path / "got", 512) != 0
        assert busybox_get(server, "blob", tmp_path / "got", 512) == 0


def test_a_taken_port_is_said_with_the_way_out(blob: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"UDP port {port} of 127.0.0.1 is taken") as caught,
            tftp.serve({"blob": blob}, "127.0.0.1", port),
        ):
            pass
    assert "--tftp-port 0" in str(caught.value.hint)


def test_an_address_that_is_not_ours_is_said(blob: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"192\.0\.2\.1"),
        tftp.serve({"blob": blob}, "192.0.2.1"),
    ):
        pass


def test_nothing_of_the_server_stays(blob: Path) -> None:
    before = threading.active_count()
    with tftp.serve({"blob": blob}, "127.0.0.1") as server:
        port = server.port
    assert threading.active_count() == before
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
