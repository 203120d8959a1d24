"""What on this host would stop the packets of boards, and the lines that let them through."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rootfs_tool import proc
from rootfs_tool.errors import CommandError, MissingToolError
from rootfs_tool.hostnet import iptables, nftables
from rootfs_tool.hostnet.firewall import Chain, Obstacle, Packet, obstacle
from rootfs_tool.hostnet.wanted import Wanted

# what iptables calls its tables, in nftables too
_TABLES = ("filter", "nat", "mangle", "raw", "security")
_LEGACY = Path("/proc/net/ip_tables_names")  # the tables of the old iptables that are in use


def chains() -> list[Chain]:
    """Every chain of this host's that IPv4 packets meet. Raises CommandError if not for root."""
    found: list[Chain] = []
    with suppress(MissingToolError):
        proc.which("nft")
        found = nftables.chains(proc.run("nft", "-j", "list", "ruleset") or '{"nftables": []}')
    shared = any(one.family == "ip" and one.table in _TABLES for one in found)
    saved = _saved("iptables-nft") if shared or not found else []
    # iptables knows best what is its own; the rest of what nft showed is in other words
    theirs = {one.table for one in saved}
    found = [one for one in found if one.family != "ip" or one.table not in theirs]
    with suppress(OSError):
        if _LEGACY.read_text().strip():
            saved += _saved("iptables-legacy")
    return [*found, *saved]


def _saved(tool: str) -> list[Chain]:
    for name in (tool, "iptables"):
        with suppress(MissingToolError, CommandError):
            proc.which(f"{name}-save")
            return iptables.chains(proc.run(f"{name}-save"), name)
    return []


def forwarding(wanted: Wanted, uplink: str, known: list[Chain]) -> list[Obstacle]:
    """What would stop packets between the boards and ``uplink``."""
    subnet, tap = str(wanted.network), wanted.device
    there = Packet(
        hook="forward",
        told=f"what boards send to {uplink}",
        facts={"iif": tap, "oif": uplink, "saddr": subnet, "state": "new", "family": "ipv4"},
    )
    back = Packet(
        hook="forward",
        told=f"the answers from {uplink}",
        facts={
            "iif": uplink,
            "oif": tap,
            "daddr": subnet,
            "state": "established",
            "family": "ipv4",
        },
    )
    return [found for packet in (there, back) if (found := obstacle(packet, known)) is not None]


def reaching(wanted: Wanted, port: int, name: str, known: list[Chain]) -> Obstacle | None:
    """What would stop a board's packet to a UDP ``port`` of this host."""
    packet = Packet(
        hook="input",
        told=f"what boards send to this host's {name}",
        facts={
            "iif": wanted.device,
            "state": "new",
            "family": "ipv4",
            "protocol": "udp",
            "dport": str(port),
            **({} if port == 67 else {"saddr": str(wanted.network)}),  # who asks has no address yet
        },
    )
    return obstacle(packet, known)


def mend(found: list[Obstacle], wanted: Wanted, uplink: str | None, known: list[Chain]) -> str:
    """The lines that let it through, each once."""
    lines = [line for one in found for line in _lines(one, wanted.device, uplink, known)]
    return "\n".join(dict.fromkeys(lines))


def _lines(found: Obstacle, tap: str, uplink: str | None, known: list[Chain]) -> list[str]:
    names = {one.name for one in known}
    chain, forward = found.chain, found.packet.hook == "forward"
    if chain.table == "firewalld":
        return [f"firewall-cmd --zone=trusted --add-interface={tap}"]
    if any(name.startswith("ufw-") for name in names) and chain.tool != nftables.TOOL:
        routed = [f"ufw route allow in on {tap} out on {uplink}"] if forward else []
        return routed or [f"ufw allow in on {tap}"]
    where = "DOCKER-USER" if forward and "DOCKER-USER" in names else chain.name
    if chain.tool == nftables.TOOL:
        at = f"nft insert rule {chain.family} {chain.table} {chain.name}"
        ways = [f'iifname "{tap}" oifname "{uplink}"', f'iifname "{uplink}" oifname "{tap}"']
        return [f"{at} {way} accept" for way in (ways if forward else [f'iifname "{tap}"'])]
    table = "" if chain.table == "filter" else f" -t {chain.table}"
    at = f"{chain.tool}{table} -I {where}"
    ways = [f"-i {tap} -o {uplink}", f"-i {uplink} -o {tap}"]
    return [f"{at} {way} -j ACCEPT" for way in (ways if forward else [f"-i {tap}"])]
