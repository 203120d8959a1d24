"""What BusyBox ifconfig says about one interface, and ip where the board has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell

_BETWEEN = "--- then ---"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """``flags`` are ifconfig's words: UP, LOOPBACK and the like; ``carrier`` is the link itself.

    ``address`` and ``netmask`` are those of its first IPv4 address. RUNNING is not asked for: the
    kernel sets it up to a second after the carrier is there (net/core/link_watch.c), so it would
    make every bring-up a second longer.
    """

    address: str | None
    netmask: str | None
    flags: frozenset[str]
    carrier: bool


def ask(shell: Shell, interface: str, *, then: str = "true") -> tuple[Seen | None, str]:
    """What ifconfig says, None when the board has no such interface; and what ``then`` printed.

    ``then`` is a command for the same round trip. The two are told apart by the line between them.
    """
    # By the shell itself: a process is what costs time on a board.
    carrier = f'{{ read -r link </sys/class/net/{interface}/carrier && echo "$link"; }} 2>/dev/null'
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


def every_address(interface: str) -> str:
    """The command whose output `addresses` reads: ip's, else that of ifconfig with the aliases."""
    return f"ip addr show dev {interface} 2>/dev/null || ifconfig -a"


def addresses(text: str, interface: str) -> frozenset[IPv4Interface | IPv6Interface]:
    """All addresses of an interface, its aliases' too, in what `every_address` printed."""
    found: set[IPv4Interface | IPv6Interface] = set()
    for block in re.split(r"\n\n", text):
        name = block.split(maxsplit=1)[0] if block.split() else ""
        if name.endswith(":") or name.partition(":")[0] == interface:  # "2:" is of ip's
            found.update(map(IPv4Interface, re.findall(r"inet (\S+/\d+)", block)))
            found.update(map(IPv6Interface, re.findall(r"inet6 (?:addr: )?(\S+/\d+)", block)))
            pairs = re.findall(r"inet addr:(\S+).*Mask:(\S+)", block)
            found.update(IPv4Interface(f"{address}/{mask}") for address, mask in pairs)
    return frozenset(found)
