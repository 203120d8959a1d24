"""The network interfaces of this host, as `ip -json` tells them (ip(8))."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from rootfs_tool import proc


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """``alias`` is the note that an interface carries, ``master`` the bridge or bond it is in.

    ``kind`` is that of an interface without a card, such as "tun" for a TAP too.
    """

    name: str
    up: bool
    carrier: bool
    alias: str
    master: str | None
    kind: str | None
    addresses: tuple[IPv4Interface, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``direct`` is whether no router is named: all of it is on a cable, or in a tunnel."""

    to: IPv4Network
    device: str
    metric: int
    direct: bool

    @property
    def default(self) -> bool:
        """Whether it is the way to the world, or to one half of it.

        Two halves are what a VPN makes, so as to go before the default route and to leave it there.
        """
        return self.to.prefixlen < 2


def links() -> dict[str, Link]:
    """Every interface of this network namespace, by name."""
    rows = json.loads(proc.run("ip", "-json", "-details", "address", "show") or "[]")
    return {row["ifname"]: _link(row) for row in rows if "ifname" in row}


def routes() -> list[Route]:
    """The IPv4 routes of the main table that lead out of an interface.

    One that is shared out among several routers is one for each of them.
    """
    rows = json.loads(proc.run("ip", "-json", "-4", "route", "show") or "[]")
    return [
        Route(
            to=_destination(row["dst"]),
            device=hop["dev"],
            metric=row.get("metric", 0),
            direct="gateway" not in hop and "via" not in hop,
        )
        for row in rows
        for hop in row.get("nexthops", [row])
        if "dev" in hop
    ]


def default_device() -> str | None:
    """The interface of the default route, the preferred one if there are several."""
    found = [route for route in routes() if route.default]
    return min(found, key=lambda one: (-one.to.prefixlen, one.metric)).device if found else None


def _link(row: dict[str, object]) -> Link:
    flags, rows, info = row.get("flags"), row.get("addr_info"), row.get("linkinfo")
    assert isinstance(flags, list)
    assert isinstance(rows, list)
    master = row.get("master")
    return Link(
        name=str(row["ifname"]),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        alias=str(row.get("ifalias", "")),
        master=None if master is None else str(master),
        kind=info.get("info_kind") if isinstance(info, dict) else None,
        addresses=tuple(
            IPv4Interface(f"{one['local']}/{one['prefixlen']}")
            for one in rows
            if one.get("family") == "inet"
        ),
    )


def _destination(text: str) -> IPv4Network:
    return IPv4Network("0.0.0.0/0" if text == "default" else text)
