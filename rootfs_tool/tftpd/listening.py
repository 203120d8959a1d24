"""Sockets that requests come to: bound here, or handed over by systemd."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shlex
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from rootfs_tool import paths
from rootfs_tool.errors import ConfigError

ANY = ("0.0.0.0", "::")
_FIRST_PASSED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
_SIOCGIFADDR = 0x8915  # netdevice(7)


def listen(address: str | None, port: int) -> list[socket.socket]:
    """Sockets bound to ``port``: one at ``address``, or by default one for IPv4 and one for IPv6.

    ``port`` 0 is any free one, the same for both. Raises ConfigError that says who has the port, or
    what lets this user have it.
    """
    with ExitStack() as undo:
        bound: list[socket.socket] = []
        for one in (address,) if address is not None else ANY:
            try:
                opened = _bound(one, bound[0].getsockname()[1] if bound else port)
            except OSError as error:
                if bound and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    continue  # a host without IPv6
                raise _explained(error, one, port) from None
            bound.append(undo.enter_context(opened))
        undo.pop_all()
        return bound


def _bound(address: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(
        address, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(place)
    except BaseException:
        opened.close()
        raise
    return opened


def passed() -> list[socket.socket]:
    """The sockets that systemd's socket unit has opened for this process; none without one.

    See sd_listen_fds(3). Raises ConfigError if one is no UDP socket.
    """
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_FDNAMES", None)
    sockets = []
    for fd in range(_FIRST_PASSED, _FIRST_PASSED + count):
        try:
            one = socket.socket(fileno=fd)
        except OSError as error:
            raise ConfigError(f"LISTEN_FDS: descriptor {fd}: {error.strerror}") from None
        sockets.append(one)
        os.set_inheritable(fd, False)
        udp = one.type == socket.SOCK_DGRAM and one.family in (socket.AF_INET, socket.AF_INET6)
        if not udp:
            for opened in sockets:
                opened.close()
            raise ConfigError(
                f"LISTEN_FDS: descriptor {fd} is no UDP socket",
                hint="the socket unit needs ListenDatagram=, not ListenStream=",
            )
    return sockets


def place(opened: socket.socket) -> str:
    """Where it listens, as "address:port"."""
    address, port = opened.getsockname()[:2]
    return f"[{address}]:{port}" if opened.family == socket.AF_INET6 else f"{address}:{port}"


def own_addresses() -> list[str]:
    """The IPv4 addresses of this host's interfaces, loopback last."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has none
                request = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
                found.append(socket.inet_ntoa(answer[20:24]))
    return sorted(found, key=lambda address: address.startswith("127."))


def _explained(error: OSError, address: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        who = holder(port)
        return ConfigError(
            f"UDP port {port} of {address} is taken" + (f" by {who}" if who else ""),
            hint=f"stop it, or --port another; as root, ss -lunp 'sport = {port}' tells who has it",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"this user may not open UDP port {port}", hint=_permission(port))
    return ConfigError(f"no TFTP server on {address} port {port}: {error.strerror}")


def _permission(port: int) -> str:
    return (
        "one of these, once:\n"
        f"  sudo sysctl net.ipv4.ip_unprivileged_port_start={port}  (for every program, until the"
        " next boot; for ever: a line in /etc/sysctl.d/)\n"
        "  rootfs-tool tftp-serve DIR --print-unit socket  (systemd opens the port, and starts the"
        " server with the first request; --print-unit service is the other half)\n"
        f"  sudo {shlex.join(paths.program())} tftp-serve DIR  (it drops root's rights as soon as"
        " the port is open)\n"
        "setcap cap_net_bind_service=ep would have to go on the Python interpreter, and so to every"
        " Python program of every user"
    )


def holder(port: int) -> str:
    """Who has the UDP port, such as "dnsmasq (pid 815)"; "" if nobody has it.

    Another user's program is known to root only, and else by its user: /proc/net/udp, proc(5).
    """
    for table in ("udp", "udp6"):
        for line in _lines(Path("/proc/net", table)):
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                return _process(fields[9]) or f"a program of {_user(int(fields[7]))}"
    return ""


def _lines(path: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from path.read_text().splitlines()[1:]


def _process(inode: str) -> str:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for fd in (process / "fd").iterdir():
                if str(fd.readlink()) == f"socket:[{inode}]":
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
