"""The ruleset of nftables, as `nft -j list ruleset` prints it (libnftables-json(5))."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

from rootfs_tool.hostnet.firewall import Chain, Condition, Field, Rule
from rootfs_tool.hostnet.nat import TABLE

TOOL = "nft"
_VERDICTS = ("accept", "drop", "return")
_STOPS = {"reject": "drop", "queue": "unclear"}
# statements that decide nothing
_QUIET = {
    *("counter", "log", "comment", "mangle", "notrack", "masquerade", "snat", "dnat", "redirect"),
    *("ct helper", "ct timeout", "ct expectation", "set", "map", "quota", "flow", "meter"),
}
_META: dict[str, Field] = {
    "iifname": "iif",
    "iif": "iif",
    "oifname": "oif",
    "oif": "oif",
    "l4proto": "protocol",
    "nfproto": "family",
}
_IP: dict[str, Field] = {"saddr": "saddr", "daddr": "daddr", "protocol": "protocol"}
_UNKNOWN = Condition("unknown")


def chains(text: str) -> list[Chain]:
    """The chains that IPv4 packets meet, but for those of our own tables."""
    found: dict[tuple[str, str, str], Chain] = {}
    rows = json.loads(text)["nftables"]
    for row in (row["chain"] for row in rows if "chain" in row):
        if row["family"] in ("ip", "inet") and not row["table"].startswith(TABLE):
            found[row["family"], row["table"], row["name"]] = _chain(row)
    for row in (row["rule"] for row in rows if "rule" in row):
        chain = found.get((row["family"], row["table"], row["chain"]))
        if chain is not None:
            chain.rules.extend(_rules(row))
    return list(found.values())


def _chain(row: dict[str, Any]) -> Chain:
    return Chain(
        tool=TOOL,
        family=row["family"],
        table=row["table"],
        name=row["name"],
        hook=row.get("hook"),
        policy="drop" if row.get("policy") == "drop" else "accept",
    )


def _rules(row: dict[str, Any]) -> Iterator[Rule]:
    """One for its verdict, and one for each row of a map of verdicts."""
    text, conditions = f"rule with handle {row['handle']}", list[Condition]()
    for statement in row["expr"]:
        if not isinstance(statement, dict) or len(statement) != 1:
            conditions.append(_UNKNOWN)
            continue
        ((kind, body),) = statement.items()
        if kind == "match":
            conditions += _conditions(body["op"], body["left"], body["right"])
        elif kind == "vmap":
            for value, verdict in body["data"].get("set", []) if _plain(body["data"]) else []:
                one = _conditions("==", body["key"], value)
                yield from _verdict(verdict, [*conditions, *one], text)
            if not _plain(body["data"]):
                yield Rule(conditions=tuple(conditions), action="unclear", text=text)
        elif (rules := list(_verdict(statement, conditions, text))) or kind in _QUIET:
            yield from rules
        else:  # a limit, a match of iptables' own, what a later nft brings
            conditions.append(_UNKNOWN)


def _plain(data: Any) -> bool:
    return isinstance(data, dict) and "set" in data


def _verdict(statement: Any, conditions: Sequence[Condition], text: str) -> Iterator[Rule]:
    ((kind, body),) = statement.items()
    action = kind if kind in _VERDICTS else _STOPS.get(kind)
    if kind in ("jump", "goto"):
        jump: Literal["jump", "goto"] = kind
        yield Rule(conditions=tuple(conditions), action=jump, target=body["target"], text=text)
    elif action is not None:
        known = cast(Literal["accept", "drop", "unclear", "return"], action)
        yield Rule(conditions=tuple(conditions), action=known, text=text)


def _conditions(op: str, left: Any, right: Any) -> list[Condition]:
    known = _left(left)
    values = _values(right)
    if known is None or values is None or op not in ("==", "!=", "in"):
        return [_UNKNOWN]
    field, before = known
    return [*before, Condition(field, values, negated=op == "!=")]


def _left(left: Any) -> tuple[Field, list[Condition]] | None:
    """What is compared, and what must be so that it can be."""
    if not isinstance(left, dict):
        return None
    ((kind, body),) = left.items()
    if kind == "meta" and body["key"] in _META:
        return _META[body["key"]], []
    if kind == "ct" and body["key"] == "state":
        return "state", []
    if kind == "payload" and body.get("protocol") == "ip" and body["field"] in _IP:
        return _IP[body["field"]], []
    if kind == "payload" and body.get("field") == "dport":
        of = body["protocol"]
        return "dport", [] if of == "th" else [Condition("protocol", (of,))]
    if kind == "payload" and body.get("protocol") in ("icmp", "icmpv6", "tcp", "udp", "ip6"):
        return "unknown", [Condition("protocol", (body["protocol"],))]
    return None


def _values(right: Any) -> tuple[str, ...] | None:
    """The values that are compared with; None if they stand elsewhere, as in a named set."""
    if isinstance(right, list):
        right = {"set": right}
    if isinstance(right, dict) and "set" in right:
        parts = [_values(one) for one in right["set"]]
        return None if None in parts else tuple(one for part in parts for one in part or ())
    if isinstance(right, dict) and "prefix" in right:
        return (f"{right['prefix']['addr']}/{right['prefix']['len']}",)
    if isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        return (f"{first}-{last}",) if isinstance(first, int) else None
    if isinstance(right, (str, int)) and not str(right).startswith("@"):
        return (str(right),)
    return None
