"""Would the firewall of this host let a packet through? Its rules, read but never touched.

A rule is what can be told of it: conditions on a packet, each met, not met, or not known; and what
becomes of a packet that meets them all. nftables and iptables both are read into that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from typing import Literal

Hook = Literal["forward", "input"]
Field = Literal["iif", "oif", "saddr", "daddr", "protocol", "dport", "state", "family", "unknown"]
Verdict = Literal["accept", "drop", "unclear", "return", "next"]
_DEEPEST = 16  # jumps from chain to chain that are followed, as many as the kernel allows


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """``facts`` has what is known of it; what is not there may be anything. ``told`` names it."""

    hook: Hook
    told: str
    facts: Mapping[Field, str]


@dataclass(frozen=True, slots=True)
class Condition:
    """Met by a packet whose ``field`` is one of ``values``, or none of them if ``negated``."""

    field: Field
    values: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``action`` is a verdict, or "jump" or "goto" to ``target``; ``text`` is for a person."""

    conditions: tuple[Condition, ...] = ()
    action: Literal["accept", "drop", "unclear", "return", "next", "jump", "goto"]
    target: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """``hook`` is None for one that others jump to. ``tool`` is what its table is changed with."""

    tool: str
    family: str
    table: str
    name: str
    hook: str | None = None
    policy: Literal["accept", "drop"] = "accept"
    rules: list[Rule] = field(default_factory=list)

    def __str__(self) -> str:
        of = f"{self.family} {self.table}" if self.tool == "nft" else f"{self.tool}'s {self.table}"
        return f"chain {self.name} of {of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a packet is stopped, or why that can't be told."""

    packet: Packet
    chain: Chain
    reason: str
    known: bool

    def __str__(self) -> str:
        how = "stops" if self.known else "may stop"
        return f"{self.chain} {how} {self.packet.told}: {self.reason}"


def obstacle(packet: Packet, chains: Sequence[Chain]) -> Obstacle | None:
    """What would not let ``packet`` through: every chain at its hook has to."""
    for chain in chains:
        if chain.hook != packet.hook:
            continue
        asked = _Asked(packet, chains)
        verdict = asked.chain(chain, 0)
        if verdict in ("return", "next"):
            verdict = chain.policy
            if verdict == "drop":
                asked.reason = "its policy is drop"
        if verdict == "accept" and asked.doubt is None:
            continue
        known = verdict == "drop"
        reason = asked.reason if known else f"not understood: {asked.doubt or asked.reason}"
        return Obstacle(packet=packet, chain=chain, reason=reason, known=known)
    return None


class _Asked:
    """One packet on its way. ``doubt`` is the first rule that might have stopped it already."""

    def __init__(self, packet: Packet, chains: Sequence[Chain]) -> None:
        self._packet, self._chains = packet, chains
        self.reason = ""
        self.doubt: str | None = None

    def chain(self, chain: Chain, depth: int) -> Verdict:
        for rule in chain.rules:
            met = _all(_meets(one, self._packet) for one in rule.conditions)
            if met is False:
                continue
            verdict = self._rule(rule, chain, depth, sure=met is True)
            if verdict != "next":
                return verdict
        return "next"

    def _rule(self, rule: Rule, chain: Chain, depth: int, *, sure: bool) -> Verdict:
        if rule.action not in ("jump", "goto"):
            return self._said(rule.action, rule.text, sure)
        target = next((one for one in self._chains if _called(one, rule.target, chain)), None)
        if target is None or depth >= _DEEPEST:
            return self._said("unclear", rule.text, sure)
        verdict = self.chain(target, depth + 1)
        if verdict in ("return", "next"):
            return "return" if rule.action == "goto" and sure else "next"
        return verdict if sure else self._said(verdict, rule.text, sure)

    def _said(self, verdict: str, text: str, sure: bool) -> Verdict:
        match verdict:
            case "drop" if sure:
                self.reason = text
                return "drop"
            case "accept" | "return" if sure:
                return "accept" if verdict == "accept" else "return"
            case "drop" | "unclear":
                self.doubt = self.doubt or text
            case _:
                pass
        return "next"


def _called(chain: Chain, name: str, by: Chain) -> bool:
    here = (by.tool, by.family, by.table, name)
    return (chain.tool, chain.family, chain.table, chain.name) == here


def _all(answers: Iterator[bool | None]) -> bool | None:
    known = list(answers)
    return False if False in known else None if None in known else True


def _meets(condition: Condition, packet: Packet) -> bool | None:
    fact = packet.facts.get(condition.field)
    if condition.field == "unknown" or not condition.values:
        return None
    if fact is None:
        anything = condition.field in ("saddr", "daddr") and "0.0.0.0/0" in condition.values
        return not condition.negated if anything else None
    try:
        met = _one_of(condition.field, condition.values, fact)
    except ValueError:  # an address or a port that is written in another way
        return None
    return met if met is None else met is not condition.negated


def _one_of(kind: Field, values: Sequence[str], fact: str) -> bool | None:
    match kind:
        case "iif" | "oif":
            return any(fnmatchcase(fact, value) for value in values)
        case "saddr" | "daddr":
            ours = IPv4Network(fact)
            there = [IPv4Network(value, strict=False) for value in values]
            if any(ours.subnet_of(one) for one in there):
                return True
            return None if any(ours.overlaps(one) for one in there) else False
        case "dport":
            return any(_in_range(int(fact), value) for value in values)
        case _:
            return fact in values


def _in_range(port: int, text: str) -> bool:
    first, _, last = text.partition("-")
    return int(first) <= port <= int(last or first)
