"""A TAP of this host as the network of a machine, as `rootfs-tool hostnet` makes it."""

from __future__ import annotations

import errno
import fcntl
import getpass
import hashlib
import os
import shlex
import socket
import struct
from contextlib import closing, suppress
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from rootfs_tool import paths
from rootfs_tool.errors import ConfigError
from rootfs_tool.network import Network
from rootfs_tool.targets.base import HostAddress

TUN = Path("/dev/net/tun")
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B  # linux/sockios.h


def check(tap: str) -> None:
    """See that this user can open ``tap`` now. Raises ConfigError with the line that mends it."""
    _there(tap)
    try:
        with TUN.open("r+b", buffering=0) as tun:
            request = struct.pack("16sH22x", tap.encode(), _IFF_TAP | _IFF_NO_PI)
            fcntl.ioctl(tun, _TUNSETIFF, request)
    except OSError as error:
        raise _explain(error, tap) from None


def host(tap: str, network: Network) -> HostAddress:
    """This host's address at ``tap``. Raises ConfigError if the board's is in another subnet."""
    here = _address(tap)
    board = network.address
    if board is not None and board.ip not in here.network:
        free = next(one for one in here.network.hosts() if one != here.ip)
        prefix = here.network.prefixlen
        raise ConfigError(
            f"the board's {board} is not in the subnet of {tap}, {here.network}",
            hint="in the recipe: [[network.interface]] "
            f'name = "{network.interface[0].name}", address = "{free}/{prefix}", '
            f'gateway = "{here.ip}"; or: hostnet up --address with one of {board.network}',
        )
    return HostAddress(bind=str(here.ip), seen=here.ip)


def mac(tap: str, hostname: str) -> str:
    """An Ethernet address that no other board at this host has, and the same at every boot."""
    last = hashlib.sha256(f"{tap} {hostname}".encode()).digest()[:3]
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *last))


def leased(tap: str, hostname: str) -> IPv4Address | None:
    """The address that `hostnet up --dhcp` gave to the board, if it did.

    A line of dnsmasq's leases is: when it ends, Ethernet address, address, name, client (lease.c).
    """
    from rootfs_tool.hostnet.journal import stem  # a build need not load it

    with suppress(OSError):
        for line in Path(f"{stem(tap)}.leases").read_text().splitlines():
            fields = line.split()
            if len(fields) > 2 and fields[1] == mac(tap, hostname):
                return IPv4Address(fields[2])
    return None


def _there(tap: str) -> None:
    try:
        socket.if_nametoindex(tap)
    except OSError:
        raise ConfigError(f"this host has no {tap}", hint=_up(tap)) from None


def _up(tap: str) -> str:
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    return shlex.join([*sudo, *paths.program(), "hostnet", "up", "--tap", tap])


def _address(tap: str) -> IPv4Interface:
    _there(tap)
    request = struct.pack("16s24x", tap.encode())
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(asking, one, request)[20:24])
                for one in (_SIOCGIFADDR, _SIOCGIFNETMASK)
            )
        except OSError as error:
            raise ConfigError(f"{tap} has no address: {error.strerror}", hint=_up(tap)) from None
    return IPv4Interface(f"{address}/{mask}")


def _explain(error: OSError, tap: str) -> ConfigError:
    match error.errno:
        case errno.EBUSY:
            by = _holder(tap)
            return ConfigError(
                f"{tap} is taken by {by or 'another program'}",
                hint='end that one, or give this board another: network = "tap1", and '
                f"{_up('tap1')} --address 10.0.1.1/24",
            )
        case errno.EPERM | errno.EACCES:
            return ConfigError(
                f"this user may not open {tap}",
                hint=f"sudo {shlex.join([*paths.program(), 'hostnet', 'down', tap])}; "
                f"{_up(tap)} --user {getpass.getuser()}",
            )
        case errno.EINVAL:
            return ConfigError(f"{tap} is no TAP", hint=f"another name, and {_up('tap0')}")
        case errno.ENOENT:
            return ConfigError(f"{TUN} is not there", hint="modprobe tun")
        case _:
            return ConfigError(f"{tap} can't be opened: {error.strerror}")


def _holder(tap: str) -> str | None:
    """Whose it is, where this user may see that (tun_chr_show_fdinfo() in drivers/net/tun.c).

    Who is in another network namespace mostly has another of its name.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if not (process / "ns" / "net").samefile("/proc/self/ns/net"):
                continue
            for file in (process / "fdinfo").iterdir():
                if f"iff:\t{tap}\n" in file.read_text():
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None
