"""Boards for the checks: a real BusyBox shell on a pty, with a network and a /tmp of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from shlex import quote

import pytest

from rootfs_tool import tftp
from rootfs_tool.checks.base import Bench
from rootfs_tool.console import connect
from rootfs_tool.console.base import Line
from rootfs_tool.network import Interface, Network
from rootfs_tool.shell import Shell

NETWORK = Network(
    hostname="board",
    interface=(
        Interface(
            name="eth0",
            address=(IPv4Interface("192.0.2.2/24"),),
            gateway=IPv4Address("192.0.2.1"),
        ),
    ),
)

# BusyBox's applets alone are the board's programs: no iproute2, no coreutils.
PRIVATE = (
    "mount -t tmpfs -o size=2m none /tmp && { mount -t sysfs none /sys || true; } && "
    "mount -t tmpfs none /mnt && busybox --install -s /mnt"
)

# A veth pair is a card with a cable in it: eth0 has a carrier while its peer is up.
CARD = "ip link add eth0 type veth peer name other && ip link set other up; "


@pytest.fixture
def board() -> Iterator[Callable[..., Bench]]:
    """Start a board: ``setup`` is run in its namespaces before its shell is there."""
    with ExitStack() as stack:

        def start(
            setup: str = "", *, served: dict[str, Path] | None = None, net: str = "--net"
        ) -> Bench:
            inside = f"{PRIVATE}; PATH=$PATH:/mnt; {setup} PATH=/mnt exec sh"
            url = f"exec:unshare {net} --mount sh -c {quote(inside)}"
            server = stack.enter_context(tftp.serve(served or {}, "127.0.0.1"))
            console = stack.enter_context(closing(connect(url, Line())))
            shell = Shell.attach(console, Line(), timeout=20)
            stack.callback(shell.leave)
            return Bench(
                shell=shell,
                network=NETWORK,
                server=server,
                host=IPv4Address("127.0.0.1"),
                reach=lambda port: ("127.0.0.1", port),  # the board's network is ours, or none is
            )

        yield start
