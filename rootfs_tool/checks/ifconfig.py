"""What BusyBox ifconfig says about one interface."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rootfs_tool.shell import Shell

_BETWEEN = "--- then ---"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """``flags`` are ifconfig's words: UP, LOOPBACK and the like; ``carrier`` is the link itself.

    RUNNING is not asked for: the kernel sets it up to a second after the carrier is there
    (net/core/link_watch.c), so it would make every bring-up a second longer.
    """

    address: str | None
    netmask: str | None
    flags: frozenset[str]
    carrier: bool


def ask(shell: Shell, interface: str, *, then: str = "true") -> tuple[Seen | None, str]:
    """What ifconfig says, None when the board has no such interface; and what ``then`` printed.

    ``then`` is a command for the same round trip. The two are told apart by the line between them.
    """
    carrier = f"cat /sys/class/net/{interface}/carrier 2>/dev/null"
    result = shell.run(
        f"ifconfig {interface} || exit 1; {carrier}; echo '{_BETWEEN}'; {then}; true"
    )
    if result.status != 0:
        return None, ""
    before, _, after = result.text.partition(f"{_BETWEEN}\n")
    return parse(before), after


def parse(text: str) -> Seen:
    """Read ``ifconfig IFACE`` as BusyBox prints it (networking/interface.c), then the carrier.

    /sys/class/net/IFACE/carrier is 1 with a link, 0 without, and can't be read while the interface
    is down (Documentation/ABI/testing/sysfs-class-net).
    """
    address = re.search(r"inet addr:(\S+)", text)
    netmask = re.search(r"Mask:(\S+)", text)
    flags = re.search(r"^\s+((?:[A-Z]+ )*[A-Z]*) *MTU:", text, re.MULTILINE)
    return Seen(
        address=address[1] if address else None,
        netmask=netmask[1] if netmask else None,
        flags=frozenset(flags[1].split()) if flags else frozenset(),
        carrier=text.rstrip().endswith("\n1"),
    )
