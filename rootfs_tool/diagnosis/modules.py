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
    missing = [one for one in wanted if e.interface(one) is None and concerned(e, one)]
    spoken = _INTERFACE.findall(e.subject.command) if e.errors(errno.ENODEV) else []
    spoken = [one for one in spoken if e.interface(one) is None]
    for one in (missing if e.astray else spoken)[:1]:
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


# Where a command names an interface that it wants to do something with.
_INTERFACE = re.compile(
    r"\b(?:ifconfig|ifup|ip link set|ip link set dev|dev|udhcpc -i|arping -I)\s+([A-Za-z][\w.-]*)"
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
    for line in [line for line in e.lines("modprobe:") if "not found" in line]:
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


# What else asks the kernel for something that a module brings, and how it says that there is none.
_ASKING = (
    (re.compile(r"\bmount\s[^\n;|&]*?-t\s*(\w+)"), errno.ENODEV),
    (re.compile(r"\bip link add\s[^\n;|&]*?\btype (\w+)"), errno.EOPNOTSUPP),
    (re.compile(r"\b(vconfig) add\s"), errno.ENOPKG),
)
_CALLED = {"vlan": "8021q", "vconfig": "8021q"}


def _asked_for(e: Evidence) -> tuple[tuple[str, ...], str] | None:
    """What was said, and the module that would have had it not be said."""
    for pattern, number in _ASKING:
        told = pattern.search(e.subject.command)
        if told and (said := e.errors(number) or e.lines(*_ALSO.get(number, ()))):
            module = _CALLED.get(told[1], told[1])
            return None if module in e.board.modules else (said, module)
    return None


_ALSO = {errno.EOPNOTSUPP: ("Operation not supported", "Unknown device type")}
