"""Forwarding and NAT for the subnet of the boards: a table of our own, or chains of our own.

Boards reach the uplink and get its answers. Nothing new comes in from there, neither to them nor,
where forwarding was off before, to anything else behind this host: it becomes nobody's router.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from rootfs_tool import proc
from rootfs_tool.errors import MissingToolError
from rootfs_tool.hostnet.changes import Change, succeeds

TABLE = "rootfs_tool_"  # the names of our tables and chains begin so
WAIT = "5"  # seconds that iptables may wait for another one to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Nat(Change):
    """``closed`` says that nothing else was forwarded from the uplink before."""

    device: str
    network: str
    uplink: str
    closed: bool

    @property
    def name(self) -> str:
        return f"{TABLE}{self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Nat):
    """By nftables (nft(8))."""

    kind: ClassVar[str] = "nft"

    def holds(self) -> bool:
        return succeeds("nft", "list", "table", "ip", self.name)

    def do(self) -> None:
        proc.feed("nft", "-f", "-", stdin=[self.text().encode()])

    def undo(self) -> str | None:
        if self.holds():
            proc.run("nft", "delete", "table", "ip", self.name)
        return None

    def lines(self) -> list[str]:
        return ["nft -f - <<'END'", *self.text().splitlines(), "END"]

    def back(self) -> list[str]:
        return [f"nft delete table ip {self.name}"]

    def text(self) -> str:
        """The table as nft reads it: all of it comes into effect at once, or none."""
        tap, up = f'"{self.device}"', f'"{self.uplink}"'
        # What a bridge carries between its ports shows here as coming from it and going to it.
        towards = f"oifname != {up} " if self.closed else f"oifname {tap} "
        return f"""\
table ip {self.name} {{
	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname {up} {towards}ct state != {{ established, related }} drop
		iifname {tap} ip saddr != {self.network} drop
		iifname {tap} oifname != {up} drop
		oifname {tap} iifname != {up} drop
	}}
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {self.network} oifname {up} masquerade
	}}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains(Nat):
    """By iptables (iptables(8)), where there is no nft. Our chain is asked before all others."""

    kind: ClassVar[str] = "iptables"

    def holds(self) -> bool:
        return all(succeeds(*_call(table, "-C", *jump)) for table, jump in self._jumps())

    def do(self) -> None:
        self.undo()
        for table, rule in self._rules():
            proc.run(*_call(table, *rule))
        for table, (chain, *rest) in self._jumps():
            proc.run(*_call(table, "-I", chain, "1", *rest))

    def undo(self) -> str | None:
        for table, jump in self._jumps():
            while succeeds(*_call(table, "-C", *jump)):
                proc.run(*_call(table, "-D", *jump))
            if succeeds(*_call(table, "-S", self.name)):
                proc.run(*_call(table, "-F", self.name))
                proc.run(*_call(table, "-X", self.name))
        return None

    def lines(self) -> list[str]:
        jumps = [_call(t, "-I", chain, "1", *rest) for t, (chain, *rest) in self._jumps()]
        return [" ".join(one) for one in [*(_call(t, *r) for t, r in self._rules()), *jumps]]

    def back(self) -> list[str]:
        ways = [("-F", self.name), ("-X", self.name)]
        calls = [_call(t, *one) for t, jump in self._jumps() for one in [("-D", *jump), *ways]]
        return [" ".join(call) for call in calls]

    def _jumps(self) -> list[tuple[str, tuple[str, ...]]]:
        note = ("-m", "comment", "--comment", "rootfs-tool-hostnet")
        return [
            ("filter", ("FORWARD", *note, "-j", self.name)),
            ("nat", ("POSTROUTING", *note, "-j", self.name)),
        ]

    def _rules(self) -> list[tuple[str, tuple[str, ...]]]:
        tap, up, known = self.device, self.uplink, ("--ctstate", "RELATED,ESTABLISHED")
        state = ("-m", "conntrack")
        towards = ("!", "-o", up) if self.closed else ("-o", tap)
        rules: list[tuple[str, ...]] = [
            ("-i", tap, "-o", up, "-s", self.network, "-j", "ACCEPT"),
            ("-i", up, "-o", tap, *state, *known, "-j", "ACCEPT"),
            ("-i", up, *towards, *state, "!", *known, "-j", "DROP"),
            ("-i", tap, "-j", "DROP"),
            ("-o", tap, "-j", "DROP"),
        ]
        masquerade = ("-s", self.network, "-o", up, "-j", "MASQUERADE")
        return [
            ("filter", ("-N", self.name)),
            *(("filter", ("-A", self.name, *rule)) for rule in rules),
            ("nat", ("-N", self.name)),
            ("nat", ("-A", self.name, *masquerade)),
        ]


def _call(table: str, *words: str) -> list[str]:
    return ["iptables", "--wait", WAIT, "-t", table, *words]


def engine() -> type[Table | Chains]:
    """What this host has. Raises MissingToolError if it has neither."""
    for program, kind in (("nft", Table), ("iptables", Chains)):
        with suppress(MissingToolError):
            proc.which(program)
            return kind
    raise MissingToolError("nft is not installed, nor is iptables", hint="apt install nftables")
