"""The end of a server, whatever comes in just then."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tftpd.raw import Shelf, server


def test_it_is_not_gone_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet in that very moment wakes it as well."""
    ring = os.eventfd_write
    told: list[int] = []

    def late(bell: int, value: int) -> None:
        with running.client() as client:
            client.send(b"no request")
            time.sleep(0.2)
        ring(bell, value)
        told.append(value)

    with server(Shelf()) as running:
        monkeypatch.setattr(os, "eventfd_write", late)
    assert told == [1]


ELSEWHERE = """\
import signal, sys, threading
from rootfs_tool.cli import main

def ends() -> None:
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=ends, daemon=True).start()
main()
"""


def test_a_signal_that_does_not_wake_it_ends_it(root: Path) -> None:
    """One that another thread takes, or that comes just before the server goes to sleep."""
    argv = (sys.executable, "-c", ELSEWHERE, "tftp-serve", "--address", "127.0.0.1", "--port", "0")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        (*argv, root), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            assert any(re.search("BusyBox: ", line) for line in server.stdout)
            time.sleep(0.3)  # it sleeps by then
            assert server.communicate("now\n", timeout=20)[0] == ""
        finally:
            server.kill()
    assert server.returncode == 0
