"""The rules of iptables, as iptables-save prints them (iptables-save(8), iptables(8))."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Literal

from rootfs_tool.hostnet.firewall import Chain, Condition, Field, Rule
from rootfs_tool.hostnet.nat import TABLE

_HOOKS = {"INPUT": "input", "FORWARD": "forward"}
_OPTIONS: dict[str, Field] = {
    "-i": "iif",
    "-o": "oif",
    "-s": "saddr",
    "-d": "daddr",
    "-p": "protocol",
    "--ctstate": "state",
    "--state": "state",
    "--dport": "dport",
    "--dports": "dport",
}
_VERDICTS: dict[str, Literal["accept", "drop", "return"]] = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "drop",
    "RETURN": "return",
}
# modules whose options are all known, or decide nothing
_MODULES = ("conntrack", "state", "tcp", "udp", "multiport", "comment")
_QUIET = ("LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "TOS", "DSCP", "ULOG", "AUDIT", "TRACE")


def chains(text: str, tool: str) -> list[Chain]:
    """The chains of a dump; ``tool`` is the program that changes them."""
    found: dict[tuple[str, str], Chain] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            found[table, name] = Chain(
                tool=tool,
                family="ip",
                table=table,
                name=name,
                # what is dropped elsewhere than in filter and mangle is not sent by boards
                hook=_HOOKS.get(name) if table in ("filter", "mangle") else None,
                policy="drop" if policy == "DROP" else "accept",
            )
        elif line.startswith("-A ") and not (words := shlex.split(line))[1].startswith(TABLE):
            found[table, words[1]].rules.append(_rule(words[2:], line))
    return [one for one in found.values() if not one.name.startswith(TABLE)]


@dataclass(slots=True)
class _Words:
    """The words of a rule, eaten from the front."""

    left: list[str]
    conditions: list[Condition] = field(default_factory=list)
    negated: bool = False

    def pop(self) -> str:
        return self.left.pop(0) if self.left else ""


def _rule(words: list[str], text: str) -> Rule:
    rest = _Words(words)
    while rest.left:
        word = rest.pop()
        if word in ("-j", "-g"):
            return _action(word, rest.pop(), tuple(rest.conditions), text)
        _option(word, rest)
    return Rule(conditions=tuple(rest.conditions), action="next", text=text)


def _option(word: str, rest: _Words) -> None:
    negated, rest.negated = rest.negated, word == "!"
    if word in _OPTIONS:
        kind = _OPTIONS[word]
        values = tuple(rest.pop().lower().replace(":", "-").split(","))
        if kind in ("iif", "oif"):
            values = tuple(f"{one[:-1]}*" if one.endswith("+") else one for one in values)
        rest.conditions.append(Condition(kind, values, negated))
    elif word == "-m":
        if rest.pop() not in _MODULES:
            rest.conditions.append(Condition("unknown"))
    elif word == "--comment":
        rest.pop()
    elif word.startswith("-"):
        rest.conditions.append(Condition("unknown"))


def _action(word: str, target: str, conditions: tuple[Condition, ...], text: str) -> Rule:
    if target in _VERDICTS:
        return Rule(conditions=conditions, action=_VERDICTS[target], text=text)
    if target in _QUIET or target.startswith(TABLE):  # our own lets through what is ours
        return Rule(conditions=conditions, action="next", text=text)
    kind: Literal["jump", "goto"] = "goto" if word == "-g" else "jump"
    return Rule(conditions=conditions, action=kind, target=target, text=text)
