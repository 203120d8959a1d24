"""What the tests of the TFTP server share.

``served`` is a server over a directory of the test's own, which takes uploads; see served.py for
one with other limits or on another address, and clients.py for the programs of others that fetch
from it and send to it. ``client`` sends what it is told to ``running``, a server over ``shelf``.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tftpd.raw import Raw, Server, Shelf, server
from tests.tftpd.served import Served, directory_served

SECRET = b"secret"
CONTENT = random.Random(4).randbytes(100_000)


def descriptors() -> set[tuple[str, str]]:
    """The open files of this process: number and what it is."""
    found = set()
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.add((one.name, str(one.readlink())))
    return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with directory_served(tmp_path / "served") as server:
        yield server


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(file=CONTENT, empty=b"", text=b"a\nb\rc\n")


@pytest.fixture(params=[False, True], ids=["own ports", "single port"])
def running(request: pytest.FixtureRequest, shelf: Shelf) -> Iterator[Server]:
    with server(shelf, single_port=request.param) as one:
        yield one


@pytest.fixture
def client(running: Server) -> Iterator[Raw]:
    with running.client() as one:
        yield one


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What is served, beside what must not be."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "file").write_bytes(b"file")
    (root / "sub" / "file").write_bytes(b"sub/file")
    (root / "sub" / "deep" / "file").write_bytes(b"sub/deep/file")
    (root / "empty").touch()
    (root / "back\\slash").write_bytes(b"literal")
    (root / os.fsdecode(b"na\xefve")).write_bytes(b"naive")
    (root / "a name with spaces").write_bytes(b"spaces")
    links = {
        "out": "../outside/secret.txt",
        "absolute": str(outside / "secret.txt"),
        "absolute-inside": str(root / "file"),
        "outside": "../outside",
        "up": "..",
        "round": "sub/../../root/file",
        "inside": "sub/file",
        "sub/inside": "../file",
        "sub/deep/directory": "..",
        "chain": "chain1",
        "chain1": "sub/inside",
        "chain-out": "chain-out1",
        "chain-out1": "sub/../out",
        "loop": "loop",
        "dangling": "nothing",
        "magic": "/proc/self/root/etc/passwd",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(root / "socket"))
    return root
