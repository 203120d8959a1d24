"""All that a board's kernel says of its network at one moment, had by one command."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Interface, IPv6Address

from rootfs_tool import sockets
from rootfs_tool.errors import ConsoleError
from rootfs_tool.netstate import interfaces, programs, routes
from rootfs_tool.netstate.interfaces import Interface
from rootfs_tool.netstate.programs import Program
from rootfs_tool.netstate.routes import Neighbour, Route
from rootfs_tool.shell import Shell
from rootfs_tool.sockets import Socket

_TIMEOUT = 30.0  # seconds that a board may take for it
_HEADING = re.compile(r"^==> (.+) <==$")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """``holders`` has the programs of a socket by its inode, ``users`` the names of the users.

    Without ``root`` the kernel names only the programs of the user that asked.
    """

    hostname: str
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    neighbours: tuple[Neighbour, ...]
    name_servers: tuple[IPv4Address | IPv6Address, ...]
    sockets: tuple[Socket, ...]
    holders: Mapping[int, tuple[Program, ...]]
    users: Mapping[int, str]
    root: bool
    bindv6only: bool

    @property
    def addresses(self) -> tuple[IPv4Interface, ...]:
        """The IPv4 addresses by which others may reach it, of the interfaces that are up."""
        return tuple(
            address
            for one in self.interfaces
            for address in one.addresses
            if isinstance(address, IPv4Interface) and one.up is not False
            if not address.is_loopback
        )


def of_board(shell: Shell) -> State:
    """Ask a board. Raises ConsoleError, also if it has no /proc."""
    result = shell.run(files(__package__).joinpath("ask.sh").read_text(), timeout=_TIMEOUT)
    if result.status != 0:
        raise ConsoleError(
            "the board does not say what its network is",
            tail=result.text,
            hint="is /proc mounted there? mount -t proc proc /proc",
        )
    return parse(result.text)


def parse(text: str) -> State:
    """Read what ask.sh prints. What is missing is empty, what is no entry is left out."""
    part = _parts(text)
    users = programs.users(part["users"])
    return State(
        hostname=part["sys/kernel/hostname"].strip(),
        interfaces=interfaces.parse(
            part["net/dev"], part["sysfs"], part["addresses"], part["net/if_inet6"]
        ),
        routes=routes.parse(part["net/route"], part["net/ipv6_route"]),
        neighbours=routes.neighbours(part["net/arp"], part["neighbours6"]),
        name_servers=routes.name_servers(part["/etc/resolv.conf"]),
        sockets=tuple(
            one
            for protocol in sockets.KINDS
            for six in ("", "6")
            for one in sockets.table(part[f"net/{protocol}{six}"], protocol)
        ),
        holders=programs.parse(part["held"], part["programs"], users),
        users=users,
        root=part["user"].strip() == "0",
        bindv6only=part["sys/net/ipv6/bindv6only"].strip() == "1",
    )


def _parts(text: str) -> defaultdict[str, str]:
    lines: defaultdict[str, list[str]] = defaultdict(list)
    name = ""
    for line in text.split("\n"):  # a program's name may have other ends of lines
        if heading := _HEADING.match(line):
            name = heading[1]
        else:
            lines[name].append(line)
    return defaultdict(str, {name: "\n".join(some) for name, some in lines.items()})
