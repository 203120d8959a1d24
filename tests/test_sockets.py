"""Listening sockets as the kernel of this host shows them: real ones, opened here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from rootfs_tool import sockets
from rootfs_tool.sockets import Protocol

KINDS: dict[Protocol, socket.SocketKind] = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as kept:
        yield kept


def bound(stack: ExitStack, address: str, protocol: Protocol = "tcp") -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = stack.enter_context(closing(socket.socket(family, KINDS[protocol])))
    made.bind((address, 0))
    if protocol == "tcp":
        made.listen(1)
    return made


def seen(port: int, protocol: Protocol = "tcp") -> list[sockets.Listener]:
    text = "".join(Path(f"/proc/net/{protocol}{six}").read_text() for six in ("", "6"))
    return [one for one in sockets.parse(text, protocol) if one.port == port]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("address", "open_to"),
    [
        ("127.0.0.1", "loopback"),
        ("127.1.2.3", "loopback"),
        ("0.0.0.0", "all"),
        ("::", "all"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
    ],
)
def test_who_can_reach_it(stack: ExitStack, address: str, open_to: str, protocol: Protocol) -> None:
    made = bound(stack, address, protocol)
    (found,) = seen(made.getsockname()[1], protocol)
    assert found.open_to == open_to
    assert found.inode == os.fstat(made.fileno()).st_ino


def test_a_connection_is_not_one_that_listens(stack: ExitStack) -> None:
    made = bound(stack, "127.0.0.1")
    ours = stack.enter_context(closing(socket.create_connection(made.getsockname())))
    stack.enter_context(closing(made.accept()[0]))
    assert len(seen(made.getsockname()[1])) == 1
    assert seen(ours.getsockname()[1]) == []


def test_another_address_is_named() -> None:
    line = "0: 0F02000A:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1 0"
    (found,) = sockets.parse(f"  sl  local_address rem_address   st\n   {line}\n")
    assert (found.open_to, found.port, found.inode) == ("10.0.2.15", 9000, 77)


def test_what_is_no_table_says_nothing() -> None:
    assert sockets.parse("cat: can't open '/proc/net/tcp6'\na b c 0A e f g h i j\n") == []


def test_who_holds_a_port(stack: ExitStack) -> None:
    made = bound(stack, "127.0.0.1")
    port = made.getsockname()[1]
    name = Path("/proc/self/comm").read_text().strip()
    assert sockets.holder(port) == f"{name} (process {os.getpid()})"
    made.close()
    assert sockets.holder(port) is None
