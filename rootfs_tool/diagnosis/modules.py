"""Rules of the kernel's modules: a device without its driver, and others that are missing."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from rootfs_tool.diagnosis.base import Diagnosis, Evidence
from rootfs_tool.diagnosis.board import Device
from rootfs_tool.diagnosis.interfaces import concerned

# What modules are for network devices that boards have; from the tables in the drivers' sources.
_KNOWN = (
    ("virtio:d00000001v*", "virtio_net"),
    ("pci:v00008086d0000100E*", "e1000"),
    ("pci:v00008086d000010D3*", "e1000e"),
    ("pci:v00001AF4d*bc02sc*", "virtio_pci"),
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
# The aliases of devices that are sure to be of the network: by virtio's number, PCI's class 02, the
# class and subclasses of USB's communication devices, RNDIS, SDIO's class 07, and by their name.
_OF_NETWORK = (
    *("virtio:d00000001v*", "pci:*bc02sc*", "usb:*ic02isc06ip*", "usb:*ic02isc0[A-E]ip*"),
    *("usb:*icE0isc01ip03*", "sdio:c07v*", "of:N*ethernet*"),
)
# Devices whose interfaces are named after a cable, or after a radio (systemd.net-naming-scheme(7)).
_WIRED = ("virtio:*", "pci:*bc02sc00*", "of:N*ethernet*")
_WIRELESS = ("sdio:*", "pci:*bc02sc80*")


def driver(e: Evidence) -> Iterator[Diagnosis]:
    """No such interface: is there a device that no driver has, and which module is for it?"""
    name = e.subject.interface
    profiled = [one.name for one in e.network.interface]
    wanted = [one for one in profiled if name in (one, None)] if e.astray else []
    missing = [one for one in wanted if e.interface(one) is None and concerned(e, one)]
    for one in (_spoken(e) or missing)[:1]:
        fitting = [device for device in e.board.undriven if _fits(device, one)]
        found = [(device, module) for device in fitting if (module := _module(e, device))]
        modules = ", ".join(dict.fromkeys(module for _, module in found))
        needs = ", ".join(f'"{module}"' for module in modules.split(", "))
        recipe = f"modules = [{needs}] in the recipe, and build again"
        named = f"is {one} its name? The board has {_others(e)}"
        if not modules:
            why = "no driver has made it, and no device waits for one that is known here"
            mend = f"{named}; dmesg tells what was found"
        elif one in profiled:
            why = f"the kernel has not loaded {modules}, which drives its card"
            mend = recipe
        else:  # what waits for a driver need not be what was asked for
            why = f"no driver has made it; a card waits for {modules}, which is not loaded"
            mend = f"{named}; if it is: {recipe}"
        yield Diagnosis(
            rule="no-driver",
            cause=f"the board has no {one}: {why}",
            mend=mend,
            evidence=(
                *(f"{device.name} {device.alias}: no driver" for device, _ in found),
                f"interfaces: {_others(e)}",
                f"kernel: {e.board.kernel}",
            ),
        )


# Where a command names an interface that it wants to do something with.
_INTERFACE = re.compile(
    r"(?:\b(?:ifconfig|ifup|ip link set(?: up| down)?|udhcpc -i|arping -I)|(?<=\s)dev)"
    r"\s+(?!(?:dev|up|down)(?![\w.-]))([A-Za-z][\w.-]*)"
)
# Who says the same of what is no interface.
_OF_OTHERS = re.compile(r"^(?:mount|modprobe|insmod): ")


def _spoken(e: Evidence) -> list[str]:
    """The interfaces that a command names, and that are not there by what was said."""
    if not any(not _OF_OTHERS.match(line) for line in _no_device(e)):
        return []
    return [one for one in _INTERFACE.findall(e.subject.command) if e.interface(one) is None]


def _no_device(e: Evidence) -> tuple[str, ...]:
    """The lines of ENODEV; ENXIO's text begins with the same words (errno(3))."""
    others = e.errors(errno.ENXIO)
    return tuple(line for line in e.errors(errno.ENODEV) if line not in others)


def _fits(device: Device, name: str) -> bool:
    """Whether the interface of a device may have that name: a radio's is not eth0."""
    others = {"wl": _WIRED, "en": _WIRELESS, "et": _WIRELESS}.get(name[:2], ())
    return not any(fnmatchcase(device.alias, one) for one in others)


def _others(e: Evidence) -> str:
    return ", ".join(one.name for one in e.state.interfaces) or "none"


def _module(e: Evidence, device: Device) -> str | None:
    """By the board's own modules.alias, by the kernel's package, else by what is known here.

    The board's own are of all kinds: they count for what is sure to be a network device.
    """
    sure = any(fnmatchcase(device.alias, one) for one in _OF_NETWORK)
    for pattern, module in (*(e.board.aliases if sure else ()), *e.drivers, *_KNOWN):
        if fnmatchcase(device.alias, pattern) and module not in e.board.modules:
            return module
    return None


def no_module(e: Evidence) -> Iterator[Diagnosis]:
    """Modprobe, or mount, of what the kernel on the board does not have."""
    if found := _asked_for(e):
        said, module = found
        yield Diagnosis(
            rule="no-module",
            cause=f"the kernel on the board does not have {module}: it is not loaded, nor built in",
            mend=f'on the board: modprobe {module}; if that finds none: modules = ["{module}"] in '
            "the recipe, and build again",
            evidence=(*said, f"kernel: {e.board.kernel}"),
        )
        return
    for line in e.lines("modprobe:"):
        if absent := _ABSENT.search(line):
            module = PurePosixPath(absent[1]).name
            yield Diagnosis(
                rule="no-module",
                cause=f"the rootfs has no kernel module {module}, nor has the kernel it built in",
                mend=f'modules = ["{module}"] in the recipe, and build again',
                evidence=(line, f"kernel: {e.board.kernel}"),
            )
            return


# BusyBox's words, and kmod's.
_ABSENT = re.compile(r"modprobe: (?:FATAL: )?module '?([^\s']+)'? not found", re.IGNORECASE)

# What else asks the kernel for something that a module brings, who says that there is none, and by
# which error.
_ASKING = (
    (re.compile(r"\bmount\s[^\n;|&]*?(?<=\s)-t\s*(\w+)"), ("mount",), errno.ENODEV),
    (
        re.compile(r"\bip link add\s[^\n;|&]*?\btype\s+(\w+)"),
        ("RTNETLINK", "Unknown device type"),
        errno.EOPNOTSUPP,
    ),
    (re.compile(r"\b(vconfig) add\s"), ("vconfig",), errno.ENOPKG),
)
# What has not the name of its module: by the aliases fs-NAME and rtnl-link-NAME of Linux 6.1's.
_CALLED = {
    **dict.fromkeys(("vlan", "vconfig"), "8021q"),
    **dict.fromkeys(("gre", "gretap", "erspan"), "ip_gre"),
    **dict.fromkeys(("ip6gre", "ip6gretap", "ip6erspan"), "ip6_gre"),
    **dict.fromkeys(("ext2", "ext3"), "ext4"),
    **dict.fromkeys(("fuseblk", "fusectl"), "fuse"),
    "bond": "bonding",
    "batadv": "batman_adv",
    "xfrm": "xfrm_interface",
    "ip6tnl": "ip6_tunnel",
    "vti": "ip_vti",
    "vti6": "ip6_vti",
    "iso9660": "isofs",
    "nfs4": "nfs",
    "smb3": "cifs",
}
# What no module would help: it says the same where its device, or the firmware, is missing; it is
# not made by `ip link add` (tun.c, can/dev/netlink.c); or it is part of the kernel, or never is.
_NO_HELP = (
    *("ubifs", "jffs2", "efivarfs", "auto", "tun", "tap", "can"),
    *("proc", "sysfs", "tmpfs", "ramfs", "devtmpfs", "devpts", "debugfs", "tracefs", "securityfs"),
    *("cgroup", "cgroup2"),
)


def _asked_for(e: Evidence) -> tuple[tuple[str, ...], str] | None:
    """What was said, and the module that would have had it not be said, if it can be but one."""
    for pattern, speakers, number in _ASKING:
        errors = _no_device(e) if number == errno.ENODEV else e.errors(number)
        also = e.lines("Unknown device type") if number == errno.EOPNOTSUPP else ()
        by = e.lines(*speakers)
        said = tuple(line for line in dict.fromkeys((*errors, *also)) if line in by)
        asked = [one for one in pattern.findall(e.subject.command) if one not in _NO_HELP]
        modules = {_CALLED.get(one, one) for one in asked} - e.board.modules
        if said and len(modules) == 1:
            return said, modules.pop()
    return None
