"""This host's side: by which of its interfaces it reaches a board, and who answers there."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from rootfs_tool.netstate import probe, routes
from rootfs_tool.netstate.interfaces import Interface
from rootfs_tool.netstate.routes import Neighbour
from rootfs_tool.netstate.state import State

_QEMU_CARD = "52:54:00:"  # how the MACs begin that QEMU gives
_USUAL = IPv4Interface("10.0.2.15/24")  # the address that it gives, and our boards have


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """``board`` is the address by which this host reaches the board, ``source`` its own.

    Without ``board`` there is no way but forwarded ports, or none; ``why`` says so in words.
    ``gateway`` is who stands between. ``ping`` is in seconds. ``claimed_by`` are the MACs that
    answer ARP for the address; None of these where nobody could be asked, as ``why`` says.
    """

    board: IPv4Address | None = None
    source: IPv4Address | None = None
    interface: str | None = None
    gateway: IPv4Address | None = None
    neighbour: Neighbour | None = None
    claimed_by: tuple[str, ...] | None = None
    ping: float | None = None
    why: str = ""

    @property
    def somebody(self) -> bool:
        """Whether the address is of an attached network, and somebody there has it."""
        return bool(self.claimed_by) or bool(self.neighbour and self.neighbour.mac)

    @property
    def nobody(self) -> bool:
        """Whether the address is of an attached network, and nobody there says that it is his."""
        if self.claimed_by is not None:
            return not self.claimed_by
        return self.neighbour is not None and self.neighbour.mac is None

    def strangers(self, interfaces: Sequence[Interface]) -> tuple[str, ...]:
        """The MACs that answer for the board's address and are none of its own."""
        own = {one.mac for one in interfaces}
        return tuple(mac for mac in self.claimed_by or () if mac not in own)


def look(board: IPv4Address) -> Outside:
    """Ask who is at ``board``: about 0.3 s, a second more if nobody answers."""
    try:
        source = _source(board)
    except OSError as error:
        return Outside(why=f"this host has no way to {board}: {error.strerror}")
    if source == board:
        return Outside(board=board, source=source, why=f"{board} is an address of this host's too")
    route = routes.towards(routes.parse(_read("/proc/net/route")), board)
    interface = route.interface if route else None
    gateway = route.gateway if route else None
    claimed = None
    if interface is not None and gateway is None:
        with suppress(OSError):  # not root's, or no Ethernet
            claimed = probe.who_has(board, interface, source)
    seconds, why = _pinged(board)
    return Outside(
        board=board,
        source=source,
        interface=interface,
        gateway=gateway if isinstance(gateway, IPv4Address) else None,
        neighbour=_neighbour(board, interface),
        claimed_by=claimed,
        ping=seconds,
        why=why,
    )


def _pinged(board: IPv4Address) -> tuple[float | None, str]:
    try:
        return probe.ping(board), ""
    except PermissionError:
        return None, "this user may not ping"
    except OSError as error:
        return None, f"ping: {error.strerror}"


def of_user_network(state: State) -> bool:
    """Whether the board is on QEMU's user network, as far as it can tell.

    Its neighbour there has the MAC 52:55 and its own address (libslirp, special_ethaddr). Before
    the first packet it has none: then it is that network's usual one, and a network card of QEMU's.
    """
    met = (one for one in state.neighbours if isinstance(one.address, IPv4Address))
    if any(one.mac == f"52:55:{one.address.packed.hex(':')}" for one in met):
        return True
    usual = any(
        (one.mac or "").startswith(_QEMU_CARD) and _USUAL in one.addresses
        for one in state.interfaces
    )
    return usual and not _on_a_cable(_USUAL.ip)


def nearest(state: State) -> IPv4Address | None:
    """Of the board's addresses the first on a network of this host's.

    Through a gateway it might be somebody else's: many boards have the same.
    """
    return next((one.ip for one in state.addresses if _on_a_cable(one.ip)), None)


def _on_a_cable(address: IPv4Address) -> bool:
    """Whether a network of this host's has it."""
    way = routes.towards(routes.parse(_read("/proc/net/route")), address)
    return way is not None and way.gateway is None


def _source(board: IPv4Address) -> IPv4Address:
    """The address that the kernel would send from (udp(7), connect)."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        asking.connect((str(board), 9))
        return IPv4Address(asking.getsockname()[0])


def _neighbour(board: IPv4Address, interface: str | None) -> Neighbour | None:
    """Who was met there, at the cable by which we go: one that asked at another is no way."""
    entries = routes.neighbours(_read("/proc/net/arp"))
    return next(
        (one for one in entries if (one.address, one.interface) == (board, interface)), None
    )


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.exists() else ""
