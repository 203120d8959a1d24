"""Does an address answer the board's ping?"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed, CheckSkipped
from rootfs_tool.diagnosis.subject import Subject


class Ping(Check):
    """An address answers within two seconds; this host, unless you name another."""

    type: Literal["ping"] = "ping"

    address: IPv4Address | None = None
    """Who should answer."""

    @property
    def title(self) -> str:
        return f"ping {self.address or 'host'}"

    def subject(self, bench: Bench) -> Subject:
        return Subject(network=True, peer=self.address or bench.host)

    def run(self, bench: Bench) -> str:
        address = self.address or bench.host
        result = bench.shell.run(f"ping -c 1 -W 2 {address}")
        if result.status == 127:
            raise CheckSkipped("the board has no ping")
        if result.status != 0:
            raise CheckFailed(
                f"no answer from {address}\n{result.text}".rstrip(),
                hint=f"is {address} up, and does its firewall let ICMP echo pass?",
            )
        return f"{address} answers"
