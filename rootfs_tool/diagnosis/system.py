"""Rules of the rest of a board: names, clock, disks."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

from rootfs_tool.diagnosis import told
from rootfs_tool.diagnosis.base import NO_NAME, Diagnosis, Evidence
from rootfs_tool.diagnosis.board import Mount, Room
from rootfs_tool.netstate import routes

_RIGHT_SINCE = 1_577_836_800  # seconds since the epoch: 2020, before which nobody runs this
_ANOTHER_DAY = 86_400  # seconds by which a clock may be wrong before anybody cares

# How glibc names the libraries that it loads for a name. nss/nss_module.c of 2.33 has the second
# text; from 2.34 on /etc/hosts and DNS are in libc itself, and so in a static program.
_NSS, _NSS_2_33 = b"libnss_", b"libnss_%s.so%s"


def names(e: Evidence) -> Iterator[Diagnosis]:
    """No address for a name: a static glibc that has nothing to load, or no name server."""
    said = e.lines(*NO_NAME)
    if not said or not e.of_network or _another_server(e):
        return
    content = e.subject.program.read_bytes() if e.subject.program is not None else b""
    static, servers = _NSS in content, e.state.name_servers
    if static and _NSS_2_33 not in content and not e.board.libc:
        yield _static_glibc(e.subject.program.name if e.subject.program else "it", said)
    elif not servers:
        yield Diagnosis(
            rule="no-name-server",
            cause="the board has no name server: /etc/resolv.conf names none",
            mend="on the board: echo nameserver ADDRESS >/etc/resolv.conf; for good: "
            'dns = ["ADDRESS"] in [network]',
            evidence=(*said, "/etc/resolv.conf: no nameserver"),
        )
    elif absent := _absent(e):
        yield Diagnosis(
            rule="name-server-absent",
            cause=f"nobody answers ARP for the name server {', nor for '.join(map(str, absent))}",
            mend="on the board, with one that it reaches: echo nameserver ADDRESS "
            '>/etc/resolv.conf; for good: dns = ["ADDRESS"] in [network]',
            evidence=(*said, *(f"/etc/resolv.conf: nameserver {one}" for one in servers)),
        )
    elif any(not isinstance(one, IPv4Address) or _way(e, one) for one in servers):
        yield _no_such_name(e, said, static=static)


def _another_server(e: Evidence) -> bool:
    """Whether nslookup was told whom to ask, and so asks nobody of /etc/resolv.conf."""
    return any(
        name == "nslookup" and len([one for one in words if one[:1] != "-"]) > 1
        for name, words in told.programs(e.subject.command)
    )


def _static_glibc(name: str, said: tuple[str, ...]) -> Diagnosis:
    return Diagnosis(
        rule="static-glibc",
        cause=f"{name} has a glibc before 2.34 linked into it, whose getaddrinfo() loads the "
        "shared libraries of the very same glibc at run time: the board has none",
        mend='link it with musl, which needs none: [[source]] type = "cc", libc = "musl"; or '
        "use addresses in the place of names",
        evidence=(*said, f"{name}: static glibc, libnss_*", "the board has no libc.so.6"),
    )


def _no_such_name(e: Evidence, said: tuple[str, ...], *, static: bool) -> Diagnosis:
    servers = ", ".join(map(str, e.state.name_servers))
    sure = e.lines("nxdomain", "name or service not known")
    return Diagnosis(
        rule="no-such-name",
        cause=f"neither /etc/hosts nor the name server {servers} has an address for that name"
        + ("" if sure else ", or the server does not answer")
        + (" (glibc from 2.34 on asks both when linked statically too)" if static else ""),
        mend="is it spelt right? On the board: nslookup NAME tells whether the server answers; "
        "names of your own go into /etc/hosts",
        evidence=(*said, f"/etc/resolv.conf: nameserver {servers}"),
    )


def _way(e: Evidence, server: IPv4Address) -> bool:
    way = routes.towards(e.state.routes, server)
    return way is not None and not way.rejects


def _absent(e: Evidence) -> list[IPv4Address]:
    """The name servers, if all of them are on the board's cables, and none of them is there."""
    found = [one for one in e.state.name_servers if isinstance(one, IPv4Address)]
    met = {one.address: one.mac for one in e.state.neighbours}
    away = [one for one in found if one in met and met[one] is None]
    return away if len(away) == len(e.state.name_servers) else []


_EARLY = re.compile(
    r"\bnot yet valid|\bnot valid (?:before|yet)|\bclock skew"
    r"|\b(?:time|stamp|date|s|seconds|minutes|hours|days)\b.*\bin the future\b",
    re.IGNORECASE,
)
_LATE = re.compile(r"\bcertificate has expired|\bclock skew", re.IGNORECASE)


def clock(e: Evidence) -> Iterator[Diagnosis]:
    """A board without a battery starts in 1970: TLS and make go by the clock."""
    now = e.board.clock
    if now is None or (now >= _RIGHT_SINCE and abs(now - time.time()) < _ANOTHER_DAY):
        return
    of_clock = _LATE if now > time.time() else _EARLY
    said = tuple(line.strip() for line in e.said.splitlines() if of_clock.search(line))
    said = said or _no_tls(e)
    if not said:
        return
    there = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now))
    follows = (
        "certificates have run out, and files of today are old"
        if now > time.time()
        else "certificates are not valid yet, and files of today are in the future"
    )
    yield Diagnosis(
        rule="clock",
        cause=f"the board's clock says {there} (UTC): {follows}",
        mend=f"on the board: date -u -s @{int(time.time())}; for good: ntpd -q -p SERVER at its "
        "start, or a clock with a battery",
        evidence=(*said, f"date on the board: {there}"),
    )


def _no_tls(e: Evidence) -> tuple[str, ...]:
    """BusyBox's wget leaves TLS to openssl, hides its words, and sees the connection end."""
    return e.lines("wget: error getting response") if "https://" in e.subject.command else ()


# A disk itself has an end and a switch of its own, inotify(7) a limit: no filesystem is meant.
_DEVICE = re.compile(r"(?<![\w./])/dev/(?!shm/|pts/)\w|\binotify")


def read_only(e: Evidence) -> Iterator[Diagnosis]:
    """EROFS: which filesystem, and is it one that can be written at all?"""
    said = tuple(one for one in e.errors(errno.EROFS) if not _DEVICE.search(one))
    fixed = {"squashfs", "erofs", "iso9660", "cramfs", "romfs"}
    mounts = [e.board.mount(path) for path in _paths(said) or _moved(e)] if said else []
    locked = [one for one in mounts if one is not None and "ro" in one.options]
    others = [one for one in e.board.mounts if said and _interesting(one)]
    locked = locked or (others if len(others) == 1 or not mounts else [])
    for one in locked[:1]:
        yield Diagnosis(
            rule="read-only",
            cause=f"{one.path} is mounted read-only"
            + (f", and {one.type} can't be written" if one.type in fixed else ""),
            mend='write below /tmp or /run, or choose root = "overlay" in the recipe'
            if one.type in fixed
            else f"on the board: mount -o remount,rw {one.path}; dmesg tells whether an error of "
            "the disk made it so",
            evidence=(*said, str(one)),
        )


def _interesting(one: Mount) -> bool:
    return "ro" in one.options and one.type not in ("sysfs", "proc", "cgroup2", "tmpfs", "devtmpfs")


def _moved(e: Evidence) -> list[str]:
    """Where a command went before it named a file without its directory."""
    return re.findall(r"\bcd\s+(/[\w./+-]*)", e.subject.command)[-1:]


def _paths(lines: tuple[str, ...]) -> list[str]:
    words = [word.strip("'\":,;()") for line in lines for word in line.split()]
    return [word for word in words if word.startswith("/")]


def _written(e: Evidence) -> list[Mount]:
    """The filesystems that a command may have written to, by the paths that it names."""
    told = re.findall(r"(?<![\w.])/[\w./+-]*", e.subject.command)
    found = [mount for path in (*told, *_moved(e)) if (mount := e.board.mount(path))]
    return [one for one in found if "rw" in one.options]


def full(e: Evidence) -> Iterator[Diagnosis]:
    """ENOSPC: which filesystem, of bytes or of inodes."""
    said = e.errors(errno.ENOSPC) or e.lines("has no room")
    said = tuple(one for one in said if not _DEVICE.search(one))
    if not said:
        return
    paths = [str(mount.path) for path in _paths(said) if (mount := e.board.mount(path))]
    for likely in (paths or [one.path for one in _written(e)], None):
        for what, rooms in (("KiB", e.board.room), ("inodes", e.board.inodes)):
            for room in rooms:
                if likely is not None and room.path not in likely:
                    continue
                if _spent(e, room, scarce=room.path in paths and what == "KiB"):
                    yield _filled(room, what, said)
                    return


def _spent(e: Evidence, room: Room, *, scarce: bool) -> bool:
    """Whether nothing is left, or, where ``scarce`` is enough, little."""
    mount = e.board.mount(room.path)
    if mount is not None and "ro" in mount.options:  # always full, and not what was written
        return False
    return bool(room.size) and (room.free == 0 or (scarce and _scarce(room)))


def _filled(room: Room, what: str, said: tuple[str, ...]) -> Diagnosis:
    return Diagnosis(
        rule="full",
        cause=f"{room.path} is full: {room.free} of {room.size} {what} free",
        mend=f"on the board: du -xk {room.path} | sort -n | tail; then delete what is not needed, "
        "or make it larger"
        if what == "KiB"
        else f"on the board: delete files below {room.path} that are not needed, or make it larger",
        evidence=(*said, f"df: {room.path} {room.size} {what}, {room.free} free"),
    )


def _scarce(room: Room) -> bool:
    return room.free * 20 < room.size
