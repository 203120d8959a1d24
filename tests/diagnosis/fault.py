"""One thing that goes wrong on a board: how to make it so, and what must be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.network import Interface, Network

NETWORK = Network(
    hostname="qemu-aarch64",
    interface=(
        Interface(
            name="eth0",
            address=(IPv4Interface("10.0.2.15/24"),),
            gateway=IPv4Address("10.0.2.2"),
        ),
    ),
)
HOST = IPv4Address("10.0.2.2")

# QEMU's own address as the profile's: then two have it.
TWICE = Network(
    hostname="qemu-aarch64",
    interface=(Interface(name="eth0", address=(IPv4Interface("10.0.2.2/24"),)),),
)

# A second interface, which the board does not have.
TWO = Network(
    hostname="qemu-aarch64",
    interface=(
        *NETWORK.interface,
        Interface(name="dummy0", address=(IPv4Interface("192.0.2.2/24"),)),
        Interface(name="eth1", dhcp=True, default_route=False),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``setup`` makes it, ``command`` fails of it, ``undo`` takes it back.

    ``cause`` is in the first diagnosis; with ``mends`` its line makes ``command`` succeed. Without
    ``link`` the cable is pulled out meanwhile. ``packages`` are Debian's that it takes: a board of
    their own has them, from which it is recorded.
    """

    rule: str
    setup: str = "true"
    command: str
    undo: str = "true"
    cause: str
    mend: str
    mends: bool = False
    link: bool = True
    network: Network = NETWORK
    subject: Subject = field(default_factory=Subject)
    packages: tuple[str, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.rule


# The network as it was.
BACK = (
    "ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; "
    "route add default gw 10.0.2.2 2>/dev/null; ifconfig lo 127.0.0.1 up"
)
