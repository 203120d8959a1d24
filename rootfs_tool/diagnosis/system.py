"""Rules of the rest of a board: names, clock, disks, drivers."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from rootfs_tool.diagnosis.base import Diagnosis, Evidence
from rootfs_tool.diagnosis.board import Device, Mount, Room

_RIGHT_SINCE = 1_577_836_800  # seconds since the epoch: 2020, before which nobody runs this
_ANOTHER_DAY = 86_400  # seconds by which a clock may be wrong before anybody cares

_LOOKUP = (
    *("temporary failure in name resolution", "name or service not known", "servname not"),
    *("getaddrinfo", "bad address", "unknown host", "no address associated"),
)

# How glibc names the libraries that it loads for a name. nss/nss_module.c of 2.33 has the second
# text; from 2.34 on /etc/hosts and DNS are in libc itself, and so in a static program.
_NSS, _NSS_2_33 = b"libnss_", b"libnss_%s.so%s"


def names(e: Evidence) -> Iterator[Diagnosis]:
    """No address for a name: a static glibc that has nothing to load, or no name server."""
    said = e.lines(*_LOOKUP)
    if not said:
        return
    content = e.subject.program.read_bytes() if e.subject.program is not None else b""
    name = e.subject.program.name if e.subject.program else "it"
    static = _NSS in content
    if static and _NSS_2_33 not in content and not e.board.libc:
        yield Diagnosis(
            rule="static-glibc",
            cause=f"{name} has a glibc before 2.34 linked into it, whose getaddrinfo() loads the "
            "shared libraries of the very same glibc at run time: the board has none",
            mend='link it with musl, which needs none: [[source]] type = "cc", libc = "musl"; or '
            "use addresses in the place of names",
            evidence=(*said, f"{name}: static glibc, libnss_*", "the board has no libc.so.6"),
        )
    elif not e.state.name_servers:
        yield Diagnosis(
            rule="no-name-server",
            cause="the board has no name server: /etc/resolv.conf names none",
            mend="on the board: echo nameserver ADDRESS >/etc/resolv.conf; for good: "
            'dns = ["ADDRESS"] in [network]',
            evidence=(*said, "/etc/resolv.conf: no nameserver"),
        )
    else:
        servers = ", ".join(map(str, e.state.name_servers))
        yield Diagnosis(
            rule="no-such-name",
            cause=f"neither /etc/hosts nor the name server {servers} has an address for that name"
            + (" (glibc from 2.34 on asks both when linked statically too)" if static else ""),
            mend="is it spelt right? On the board: nslookup NAME; names of your own go into "
            "/etc/hosts",
            evidence=(*said, f"/etc/resolv.conf: nameserver {servers}"),
        )


_TIME = (
    *(
        "not yet valid",
        "clock skew",
        "in the future",
        "not valid before",
        "certificate has expired",
    ),
    *("modification time", "clock is"),
)


def clock(e: Evidence) -> Iterator[Diagnosis]:
    """A board without a battery starts in 1970: TLS and make go by the clock."""
    said, now = e.lines(*_TIME) or _no_tls(e), e.board.clock
    if not said or now is None or (now >= _RIGHT_SINCE and abs(now - time.time()) < _ANOTHER_DAY):
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


def read_only(e: Evidence) -> Iterator[Diagnosis]:
    """EROFS: which filesystem, and is it one that can be written at all?"""
    said = e.errors(errno.EROFS)
    fixed = {"squashfs", "erofs", "iso9660", "cramfs", "romfs"}
    mounts = [e.board.mount(path) for path in _paths(said)] if said else []
    locked = [one for one in mounts if one is not None and "ro" in one.options]
    locked = locked or [one for one in e.board.mounts if said and _interesting(one)]
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


def _paths(lines: tuple[str, ...]) -> list[str]:
    words = [word.strip("'\":,;()") for line in lines for word in line.split()]
    return [word for word in words if word.startswith("/")]


def full(e: Evidence) -> Iterator[Diagnosis]:
    """ENOSPC: which filesystem, of bytes or of inodes."""
    said = e.errors(errno.ENOSPC) or e.lines("has no room")
    if not said:
        return
    paths = [str(mount.path) for path in _paths(said) if (mount := e.board.mount(path))]
    for what, rooms in (("KiB", e.board.room), ("inodes", e.board.inodes)):
        for room in rooms:
            mount = e.board.mount(room.path)
            if mount is not None and "ro" in mount.options:  # always full, and not what was written
                continue
            named = room.path in paths
            if room.size and (room.free == 0 or (named and what == "KiB" and _scarce(room))):
                yield Diagnosis(
                    rule="full",
                    cause=f"{room.path} is full: {room.free} of {room.size} {what} free",
                    mend=f"on the board: du -xk {room.path} | sort -n | tail, and delete what is "
                    "not needed; or make it larger",
                    evidence=(*said, f"df: {room.path} {room.size} {what}, {room.free} free"),
                )
                return


def _scarce(room: Room) -> bool:
    return room.free * 20 < room.size


# What modules are for devices that boards have; from the tables in the drivers' sources.
_KNOWN = (
    ("virtio:d00000001v*", "virtio_net"),
    ("virtio:d00000002v*", "virtio_blk"),
    ("pci:v00008086d0000100E*", "e1000"),
    ("pci:v00008086d000010D3*", "e1000e"),
    ("pci:v00001AF4d*", "virtio_pci"),
    ("pci:v000010ECd00008139*", "8139cp"),
    ("pci:v000010ECd00008168*", "r8169"),
    ("usb:v0424pEC00*", "smsc95xx"),
    ("usb:v0424p7800*", "lan78xx"),
    ("usb:v0BDAp815*", "r8152"),
    ("usb:v0B95p*", "asix"),
    ("usb:*ic02isc06ip*", "cdc_ether"),
    ("sdio:c*v02D0d*", "brcmfmac"),
    ("of:N*ethernet*brcm,bcm2711-genet*", "genet"),
)


def driver(e: Evidence) -> Iterator[Diagnosis]:
    """No such interface: is there a device that no driver has, and which module is for it?"""
    name = e.subject.interface
    wanted = [one.name for one in e.network.interface if one.name == name or name is None]
    missing = [one for one in wanted if e.interface(one) is None] if e.outward else []
    for one in missing[:1]:
        found = [(device, module) for device in e.board.undriven if (module := _module(e, device))]
        modules = list(dict.fromkeys(module for _, module in found))
        yield Diagnosis(
            rule="no-driver",
            cause=f"the board has no {one}: "
            + (
                f"the kernel has not loaded {', '.join(modules)}, which drives its card"
                if modules
                else "no driver has made it, and no device waits for one that is known here"
            ),
            mend=f"modules = [{', '.join(f'{module!r}' for module in modules)}] in the recipe, and "
            "build again".replace("'", '"')
            if modules
            else f"is {one} its name? The board has {_others(e)}; dmesg tells what was found",
            evidence=(
                *(f"{device.name} {device.alias}: no driver" for device, _ in found),
                f"interfaces: {_others(e)}",
                f"kernel: {e.board.kernel}",
            ),
        )


def _others(e: Evidence) -> str:
    return ", ".join(one.name for one in e.state.interfaces) or "none"


def _module(e: Evidence, device: Device) -> str | None:
    """By the board's own modules.alias, by the kernel's package, else by what is known here."""
    for pattern, module in (*e.board.aliases, *e.drivers, *_KNOWN):
        if fnmatchcase(device.alias, pattern) and module not in e.board.modules:
            return module
    return None


def no_module(e: Evidence) -> Iterator[Diagnosis]:
    """Modprobe, or mount, of what the kernel on the board does not have."""
    said = [line for line in e.lines("modprobe:") if "not found" in line]
    for line in said:
        for word in (PurePosixPath(word.strip("'\":,;()")).name for word in line.split()):
            if word in ("modprobe", "module", "not", "found", "in", "modules.dep", "FATAL"):
                continue
            yield Diagnosis(
                rule="no-module",
                cause=f"the rootfs has no kernel module {word}, nor has the kernel it built in",
                mend=f'modules = ["{word}"] in the recipe, and build again',
                evidence=(line, f"kernel: {e.board.kernel}"),
            )
            return
