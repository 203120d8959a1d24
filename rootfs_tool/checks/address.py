"""Has an interface the addresses that the profile gives it, or a lease?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from rootfs_tool.checks import ifconfig
from rootfs_tool.checks.base import Bench, Check, CheckFailed, CheckSkipped
from rootfs_tool.checks.ifconfig import Seen
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.network import Interface


class Address(Check):
    """An interface is up, with its addresses and netmasks, or a lease, and has a link."""

    type: Literal["address"] = "address"

    interface: str
    """Its name on the board, one of the profile's."""

    wait: float = 10.0
    """Seconds that it may still take: a link is negotiated for two to five."""

    @property
    def title(self) -> str:
        return f"interface {self.interface}"

    def subject(self, bench: Bench) -> Subject:
        return Subject(network=True, interface=self.interface)

    def run(self, bench: Bench) -> str:
        wanted = next((one for one in bench.network.interface if one.name == self.interface), None)
        if wanted is None:
            raise CheckSkipped(f"the profile has no interface {self.interface}")
        deadline = time.monotonic() + self.wait
        while (wrong := _wrong(there := _look(bench, wanted), wanted)) is not None:
            if time.monotonic() >= deadline:
                raise wrong
            bench.shell.run("sleep 0.2 2>/dev/null || sleep 1")
        has = ", ".join([*map(str, wanted.address), *filter(None, [there.lease])])
        state = "up" if wanted.type == "dummy" else "up, running"
        return f"{has}; {state}" if there.lease else f"{has} {state}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """``lease`` is what the script of the DHCP client wrote down of it; empty if nothing."""

    seen: Seen | None
    addresses: frozenset[IPv4Interface | IPv6Interface]
    lease: str


def _look(bench: Bench, wanted: Interface) -> _There:
    """All about an interface in one round trip; ifconfig alone knows a single address."""
    if len(wanted.address) == 1 and wanted.ipv4 and not wanted.dhcp:
        seen, _ = ifconfig.ask(bench.shell, wanted.name)
        own = [f"{seen.address}/{seen.netmask}"] if seen and seen.address and seen.netmask else []
        return _There(seen=seen, addresses=frozenset(map(IPv4Interface, own)), lease="")
    lease = f"cat /run/udhcpc.{wanted.name}.lease 2>/dev/null"
    then = f"{{ {ifconfig.every_address(wanted.name)}; }}; echo; echo lease $({lease})"
    seen, said = ifconfig.ask(bench.shell, wanted.name, then=then)
    listed, _, lease = said.rpartition("lease")
    return _There(seen=seen, addresses=ifconfig.addresses(listed, wanted.name), lease=lease.strip())


def _wrong(there: _There, wanted: Interface) -> CheckFailed | None:
    name, seen = wanted.name, there.seen
    if seen is None:
        return CheckFailed(
            f"the board has no {name}",
            hint="is its driver among the profile's modules? dmesg on the board tells more",
        )
    missing = [one for one in wanted.address if one not in there.addresses]
    if "UP" not in seen.flags or (missing and not wanted.dhcp and seen.address is None):
        return CheckFailed(f"{name} is not configured", hint=_mend(wanted))
    if wanted.dhcp and not (there.lease and seen.address):
        return CheckFailed(
            f"{name} has no lease: no DHCP server answers",
            hint=f"is there one on its cable? on the board: udhcpc -n -q -i {name}",
        )
    if missing and len(wanted.address) == 1 and isinstance(missing[0], IPv4Interface):
        return CheckFailed(
            f"{name} has {seen.address} netmask {seen.netmask}, not {missing[0].with_netmask}",
            hint=_mend(wanted),
        )
    if missing:
        return CheckFailed(f"{name} has not {', '.join(map(str, missing))}", hint=_mend(wanted))
    if not seen.carrier and wanted.type != "dummy":
        return CheckFailed(f"{name} has no link", hint="is the cable plugged in, at both ends?")
    return None


def _mend(wanted: Interface) -> str:
    if len(wanted.address) == 1 and wanted.ipv4:
        address = wanted.ipv4[0]
        return f"on the board: ifconfig {wanted.name} {address.ip} netmask {address.netmask} up"
    return "on the board: /etc/init.d/S40network restart"
