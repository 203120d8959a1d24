"""Is lo up? Without it every connect() to the board's own addresses fails."""

from __future__ import annotations

from typing import Literal

from rootfs_tool.checks import ifconfig
from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.diagnosis.subject import Subject

MEND = (
    "on the board: ifconfig lo 127.0.0.1 up; for good: [network] loopback = true, and build again"
)


class Loopback(Check):
    """`lo` is up and 127.0.0.1 answers a ping."""

    type: Literal["loopback"] = "loopback"

    @property
    def title(self) -> str:
        return "loopback lo"

    def subject(self, bench: Bench) -> Subject:
        return Subject(interface="lo")

    def run(self, bench: Bench) -> str:
        ping = "ping -c 1 -W 2 127.0.0.1 && echo answers"
        seen, said = ifconfig.ask(bench.shell, "lo", then=ping)
        if seen is None:
            raise CheckFailed(
                "the board has no lo", hint="its kernel needs CONFIG_NET, CONFIG_INET"
            )
        if "UP" not in seen.flags or seen.address is None:
            raise CheckFailed(
                "lo is down: every connect() to 127.0.0.1 or to the board's own address gives "
                "error 101, Network is unreachable (with a default route: no answer at all)",
                hint=MEND,
            )
        if seen.address != "127.0.0.1":
            raise CheckFailed(f"lo has the address {seen.address}, not 127.0.0.1", hint=MEND)
        if not said.endswith("answers\n"):
            raise CheckFailed(f"127.0.0.1 does not answer\n{said}".rstrip(), hint=MEND)
        return "127.0.0.1 up, answers"
