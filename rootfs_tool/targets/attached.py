"""A board on the desk, reached over a serial line."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv4Address
from typing import Literal

from rootfs_tool.console import connect
from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import note
from rootfs_tool.manifest import Build
from rootfs_tool.network import Network
from rootfs_tool.targets.base import HostAddress, Target
from rootfs_tool.targets.power import Power


class Attached(Target):
    """A board that has its rootfs already; without a power table it is powered by hand."""

    type: Literal["attached"] = "attached"

    console: str
    """Where its serial line is: serial:/dev/ttyUSB0, socket://host:port, rfc2217://host:port."""

    power: Power | None = None
    """How this host switches its power."""

    @contextmanager
    def boot(self, build: Build | None, line: Line) -> Iterator[Console]:
        with closing(connect(self.console, line)) as console:
            if self.power is not None:  # only now, for the first words of a boot are news too
                self.power.restart()
            yield console

    def host(self, network: Network) -> HostAddress:
        """The address of ours that the kernel would use to reach the board (udp(7), connect)."""
        board = network.address
        if board is None:
            return _unknown(network)
        ours = _ours(board.ip)
        if isinstance(ours, OSError):
            raise ConfigError(
                f"this host has no way to the board's {board.ip}: {ours.strerror}",
                hint=_give_address(network),
            )
        if ours not in board.network and not ours.is_loopback:
            note(f"this host is {ours}, outside the board's {board.network}")
            note(f"if the board can't reach it: {_give_address(network)}")
        return HostAddress(bind=str(ours), seen=ours)

    def reach(self, network: Network, port: int) -> tuple[str, int] | None:
        """The port of the board's first address, unless a DHCP server alone knows it."""
        return (str(network.address.ip), port) if network.address else None


def _ours(there: IPv4Address) -> IPv4Address | OSError:
    """The address of ours that the way to another begins at, or why there is no way."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((str(there), 9))
        except OSError as error:
            return error
        return IPv4Address(probe.getsockname()[0])


def _unknown(network: Network) -> HostAddress:
    """Ours on the way to everything else, where a board has a lease that nobody here knows."""
    ours = _ours(IPv4Address("192.0.2.1")) if network.leased else None  # of RFC 5737: nobody's
    if not isinstance(ours, IPv4Address):
        ours = IPv4Address("127.0.0.1")
    return HostAddress(bind=str(ours), seen=ours)


def _give_address(network: Network) -> str:
    assert network.reached is not None
    assert network.address is not None
    subnet = network.address.network
    free = next(one for one in subnet.hosts() if one != network.address.ip)
    ours = network.reached.gateway or free
    return f"ip addr add {ours}/{subnet.prefixlen} dev YOUR_ETHERNET_PORT"
