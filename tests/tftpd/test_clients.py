"""The server against the clients that people have, down to the last byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.lossy_relay import losing
from tests.conftest import CHECKOUT
from tests.tftpd import clients
from tests.tftpd.clients import Get, Put
from tests.tftpd.served import Served, directory_served

MIB = 1 << 20
SIZES = (0, 1, 511, 512, 513, 1428 * 16, 100_000)
ROLLS_OVER = 33 * MIB  # more than 65535 blocks of 512

GETS = {
    "curl": clients.curl(),
    "curl 1428": clients.curl(1428),
    "tftp-hpa": clients.tftp_hpa(),
    "atftp": clients.atftp(),
    "atftp 1428 window 16": clients.atftp("blksize 1428", "windowsize 16"),
    "busybox": clients.busybox(),
    "busybox 65464": clients.busybox(65464),
    "tftpy": clients.tftpy(),
    "tftpy 1428": clients.tftpy(1428),
}
PUTS = {
    "curl": clients.curl_put,
    "tftp-hpa": clients.tftp_hpa_put,
    "atftp window 8": clients.atftp_put,
    "busybox": clients.busybox_put,
}
# tftpy's client leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")


@pytest.fixture(params=list(GETS.values()), ids=list(GETS))
def get(request: pytest.FixtureRequest) -> Get:
    found: Get = request.param
    return found


@pytest.fixture(params=list(PUTS.values()), ids=list(PUTS))
def put(request: pytest.FixtureRequest) -> Put:
    found: Put = request.param
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fetched(get: Get, server: Served, name: str, to: Path) -> str:
    to.unlink(missing_ok=True)
    get(server, name, to)
    return sha256(to.read_bytes())


def test_every_size_arrives(get: Get, served: Served, tmp_path: Path) -> None:
    for size in SIZES:
        content = served.file(f"{size} bytes", size)
        assert fetched(get, served, f"{size} bytes", tmp_path / "got") == sha256(content), size


def test_what_is_not_there_is_said(served: Served, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="file not found"):
        clients.busybox()(served, "nothing", tmp_path / "got")
    with pytest.raises(AssertionError, match=r"curl: \(68\)"):  # CURLE_TFTP_NOTFOUND
        clients.curl()(served, "nothing", tmp_path / "got")


@pytest.mark.parametrize("name", ["tftp-hpa", "atftp 1428 window 16", "busybox 65464", "curl"])
def test_ipv6(tmp_path: Path, name: str) -> None:
    with directory_served(tmp_path / "served", "::1") as served:
        content = served.file("a file", 100_000)
        assert fetched(GETS[name], served, "a file", tmp_path / "got") == sha256(content)


@pytest.mark.parametrize(
    "get",
    [clients.tftp_hpa(), clients.curl(), clients.atftp("windowsize 16")],
    ids=["tftp-hpa", "curl", "atftp window 16"],
)
def test_block_numbers_roll_over(get: Get, served: Served, tmp_path: Path) -> None:
    content = served.file("large", ROLLS_OVER)
    assert fetched(get, served, "large", tmp_path / "got") == sha256(content)


def test_text_travels_as_netascii_and_arrives_as_it_was(served: Served, tmp_path: Path) -> None:
    text = b"".join(b"line %d\n" % number + b"\r" * (number % 3) for number in range(5000))
    (served.root / "text").write_bytes(text)
    get = clients.tftp_hpa("ascii")
    assert fetched(get, served, "text", tmp_path / "got") == sha256(text)


def test_every_size_can_be_sent(put: Put, served: Served, tmp_path: Path) -> None:
    for size in SIZES:
        content = served.file("sent", size)
        (tmp_path / "to send").write_bytes(content)
        (served.root / "sent").unlink()
        put(served, tmp_path / "to send", "sent")
        assert sha256((served.root / "sent").read_bytes()) == sha256(content), size


def test_a_large_file_can_be_sent(served: Served, tmp_path: Path) -> None:
    content = served.file("sent", ROLLS_OVER)
    (served.root / "sent").rename(tmp_path / "sent")
    clients.tftp_hpa_put(served, tmp_path / "sent", "sent")
    assert sha256((served.root / "sent").read_bytes()) == sha256(content)


@pytest.fixture
def lossy(served: Served) -> Iterator[Served]:
    """The server behind a link that loses 5 % of the packets each way."""
    with ExitStack() as stack:
        address, port = stack.enter_context(losing((served.address, served.port), 0.05))
        yield Served(root=served.root, address=address, port=port)


def test_nothing_is_lost_on_a_link_that_loses(lossy: Served, tmp_path: Path) -> None:
    content = lossy.file("file", 16 * 65464)
    assert fetched(GETS["busybox 65464"], lossy, "file", tmp_path / "got") == sha256(content)


def test_nothing_sent_is_lost_on_a_link_that_loses(lossy: Served, tmp_path: Path) -> None:
    (tmp_path / "to send").write_bytes(lossy.file("sent", 64 * 1428))
    (lossy.root / "sent").unlink()
    clients.busybox_put(lossy, tmp_path / "to send", "sent")
    assert (lossy.root / "sent").read_bytes() == (tmp_path / "to send").read_bytes()


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's clients: many at once, each of which compares every byte."""
    program = tmp_path_factory.mktemp("load") / "tftp_load"
    source = CHECKOUT / "benchmarks" / "tftp_load.c"
    clients.said("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-o", program, source)
    return program


def read_at_once(load: Path, server: Served, count: int, windowsize: int, name: str) -> None:
    to = ("-a", server.address, "-p", str(server.port))
    how = ("-c", str(count), "-b", "1428", "-w", str(windowsize), "-d", "50")
    clients.said(load, *to, *how, name, server.root / name)


@pytest.mark.parametrize("windowsize", [1, 16, 64])
def test_many_read_at_once(load: Path, served: Served, windowsize: int) -> None:
    served.file("file", 200_000)
    read_at_once(load, served, 200, windowsize, "file")


def test_many_read_at_once_on_a_link_that_loses(load: Path, lossy: Served) -> None:
    lossy.file("file", 100 * 1428)
    read_at_once(load, lossy, 20, 16, "file")
