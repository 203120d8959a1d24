"""Does a program listen at a port, and to whom is it open?"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Literal

from rootfs_tool import sockets
from rootfs_tool.checks.base import Bench, Check, CheckFailed, patiently
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.model import Field, field_validator
from rootfs_tool.sockets import Listener, Protocol

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell


class Port(Check):
    """A program listens at a port, to everybody or to the board alone."""

    type: Literal["port"] = "port"

    port: int = Field(ge=1, le=65535)
    """Its number."""

    protocol: Protocol = "tcp"
    """tcp, or udp, whose ports nobody listens at but programs wait for what comes."""

    open_to: str | None = None
    """"all", "loopback", or the one address of the board's that it must be bound to."""

    wait: float = Field(default=5.0, ge=0)
    """Seconds that it may still take to listen."""

    @field_validator("open_to")
    @classmethod
    def _somebody(cls, value: str | None) -> str | None:
        try:
            return value if value in (None, "all", "loopback") else str(IPv4Address(value))
        except ValueError:
            raise ValueError(f'must be "all", "loopback" or an address, not "{value}"') from None

    @property
    def title(self) -> str:
        return f"port {self.port}" if self.protocol == "tcp" else f"port {self.port}/udp"

    def subject(self, bench: Bench) -> Subject:
        return Subject(port=self.port if self.protocol == "tcp" else None)

    def run(self, bench: Bench) -> str:
        found = patiently(bench, self.wait, lambda: self._listening(bench))
        whose = _programs(bench.shell, found)
        by = f", by {', '.join(sorted(whose))}" if whose else ""
        seen = " and ".join(sorted({one.open_to for one in found}))
        if self.open_to is not None and seen != self.open_to:
            raise CheckFailed(
                f"open to {seen}, not to {self.open_to}{by}", hint=_mend(self.open_to, self.port)
            )
        return f"open to {seen}{by}"

    def _listening(self, bench: Bench) -> list[Listener]:
        tables = " ".join(f"/proc/net/{self.protocol}{six}" for six in ("", "6"))
        there = sockets.parse(bench.shell.run(f"cat {tables} 2>/dev/null").text, self.protocol)
        if found := [one for one in there if one.port == self.port]:
            return found
        ports = ", ".join(str(port) for port in sorted({one.port for one in there}))
        raise CheckFailed(
            f"nobody listens at {self.protocol.upper()} port {self.port}",
            hint=f"there are listeners at {ports}: does the service run, and use that port?"
            if ports
            else "does the service run? It may have ended before it listened",
        )


def _programs(shell: Shell, listeners: Iterable[Listener]) -> set[str]:
    """The name and process id of the program that has each socket, as far as /proc tells."""
    from rootfs_tool.netstate.state import of_board  # what a build can do without

    holders = of_board(shell).holders
    return {str(one) for listener in listeners for one in holders.get(listener.inode, ())[:1]}


def _mend(wanted: str, port: int) -> str:
    match wanted:
        case "all":
            return "does the program bind 0.0.0.0 (INADDR_ANY)? Nobody beside the board reaches it"
        case "loopback":
            return f"bind 127.0.0.1 in the program: everybody on the network reaches port {port}"
        case _:
            return f"bind {wanted} in the program"
