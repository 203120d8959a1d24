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
        if not network.interface:
            return HostAddress(bind="127.0.0.1", seen=IPv4Address("127.0.0.1"))
        board = network.interface[0].address
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            try:
                probe.connect((str(board.ip), 9))
            except OSError as error:
                raise ConfigError(
                    f"this host has no way to the board's {board.ip}: {error.strerror}",
                    hint=_give_address(network),
                ) from None
            ours = IPv4Address(probe.getsockname()[0])
        if ours not in board.network and not ours.is_loopback:
            note(f"this host is {ours}, outside the board's {board.network}")
            note(f"if the board can't reach it: {_give_address(network)}")
        return HostAddress(bind=str(ours), seen=ours)


def _give_address(network: Network) -> str:
    first = network.interface[0]
    free = next(one for one in first.address.network.hosts() if one != first.address.ip)
    ours = first.gateway or free
    prefix = first.address.network.prefixlen
    return f"ip addr add {ours}/{prefix} dev YOUR_ETHERNET_PORT"
