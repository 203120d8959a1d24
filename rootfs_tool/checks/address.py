"""Has an interface the address that the profile gives it?"""

from __future__ import annotations

import time
from typing import Literal

from rootfs_tool.checks import ifconfig
from rootfs_tool.checks.base import Bench, Check, CheckFailed, CheckSkipped
from rootfs_tool.network import Interface


class Address(Check):
    """An interface is up, with its address and netmask, and has a link."""

    type: Literal["address"] = "address"

    interface: str
    """Its name on the board, one of the profile's."""

    wait: float = 10.0
    """Seconds that it may still take: a link is negotiated for two to five."""

    @property
    def title(self) -> str:
        return f"interface {self.interface}"

    def run(self, bench: Bench) -> str:
        wanted = next((one for one in bench.network.interface if one.name == self.interface), None)
        if wanted is None:
            raise CheckSkipped(f"the profile has no interface {self.interface}")
        deadline = time.monotonic() + self.wait
        while (wrong := _wrong(_seen(bench, self.interface), wanted)) is not None:
            if time.monotonic() >= deadline:
                raise wrong
            bench.shell.run("sleep 0.2 2>/dev/null || sleep 1")
        return f"{wanted.address} up, running"


def _seen(bench: Bench, interface: str) -> ifconfig.Seen | None:
    seen, _ = ifconfig.ask(bench.shell, interface)
    return seen


def _wrong(seen: ifconfig.Seen | None, wanted: Interface) -> CheckFailed | None:
    name, address = wanted.name, wanted.address
    if seen is None:
        return CheckFailed(
            f"the board has no {name}",
            hint="is its driver among the profile's modules? dmesg on the board tells more",
        )
    configure = f"ifconfig {name} {address.ip} netmask {address.netmask} up"
    if seen.address is None or "UP" not in seen.flags:
        return CheckFailed(f"{name} is not configured", hint=f"on the board: {configure}")
    if (seen.address, seen.netmask) != (str(address.ip), str(address.netmask)):
        return CheckFailed(
            f"{name} has {seen.address} netmask {seen.netmask}, not {address.with_netmask}",
            hint=f"on the board: {configure}",
        )
    if not seen.carrier:
        return CheckFailed(f"{name} has no link", hint="is the cable plugged in, at both ends?")
    return None
