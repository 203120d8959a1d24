"""What a board means by the name it asks for: --map, backslashes, a Raspberry Pi's directory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd.base import Code, Refused

LONGEST = 512  # bytes; RFC 2347: a request packet is no longer

# A board's serial number, or its MAC address (TFTP_PREFIX=2), before the slash:
# https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#TFTP_PREFIX
_OF_A_PI = re.compile(
    rb"([0-9a-f]{8}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5})/(.+)", re.IGNORECASE | re.DOTALL
)

# Backtracking tries every way in which a pattern may be laid over a name. With at most 2**22 of
# them a name of LONGEST bytes takes some 10 ms at worst, and most patterns a thousandth of that.
_WAYS = 22  # bits
_REPETITION = 9  # bits: it can end at any of LONGEST bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One --map: the first match of ``pattern`` is replaced, as by re.sub()."""

    pattern: re.Pattern[str]
    replacement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    r"""The paths that a name may mean: the first that exists; none is absolute or has ".." in it.

    ``of_board`` is the first step of a Raspberry Pi's path and names the board. Where there is no
    such directory, ``without`` is meant.
    """

    paths: tuple[bytes, ...]
    of_board: bytes = b""
    without: bytes = b""


def rule(text: str) -> Rule:
    r"""A rule from REGEX=REPLACEMENT, Python's syntax; the first = ends the REGEX (\x3d is one).

    Raises ConfigError, also for a pattern that some name could keep busy for long.
    """
    pattern, equals, replacement = text.partition("=")
    if not pattern or not equals:
        raise ConfigError(f"--map {text}: not REGEX=REPLACEMENT", hint=r"such as ^/?tftpboot/=")
    try:
        compiled = re.compile(pattern)
        compiled.sub(replacement, "")
    except (re.error, IndexError) as error:
        raise ConfigError(f"--map {text}: {error}") from None
    ways = _ways(pattern)
    if ways is None:
        raise ConfigError(
            f"--map {text}: a repeated group that has a choice in it can take for ever",
            hint="such as (a+)+: repeat without the group, or a fixed number of times: {8}",
        )
    if ways > _WAYS:
        raise ConfigError(
            f"--map {text}: too many ways to match, a long name could take seconds",
            hint="begin it with ^, use at most two of * + {m,n}, or make two --map of it",
        )
    return Rule(pattern=compiled, replacement=replacement)


def _ways(pattern: str) -> int | None:
    """In how many ways it can match, in bits; None if their number grows with the name's length.

    Rough, and rather too large than too small.
    """
    flat = re.sub(r"\\.", "x", pattern, flags=re.DOTALL)
    flat = re.sub(r"\[\^?\]?[^]]*\]", "x", flat)
    flat = re.sub(r"(?<!\))\{\d+\}", "", flat)
    flat = re.sub(r"\((?:\?:)?[^()*+?|{]*\)\{\d+\}", "x", flat)
    flat = re.sub(r"\(\?(?:P<\w+>|[:=!])", "(", flat)
    if re.search(r"\)[*+{]", flat):
        return None
    ways = sum(_REPETITION for _ in re.finditer(r"[*+]|\{\d*,\d*\}", flat))
    ways += flat.count("?") + flat.count("|")
    return ways if flat.startswith("^") and "|" not in flat else ways + _REPETITION


def wanted(name: bytes, rules: Sequence[Rule] = ()) -> Wanted:
    """What ``name`` means below the directory that is served. Raises Refused."""
    if len(name) > LONGEST:
        raise Refused(Code.NOT_FOUND, "no file has a name that long")
    if b"\0" in name:
        raise Refused(Code.NOT_FOUND, "no file has a NUL in its name")
    for one in rules:
        text = name.decode(errors="surrogateescape")
        text = one.pattern.sub(one.replacement, text, count=1)
        name = text.encode(errors="surrogateescape")
    path = _plain(name)
    if b"\\" in name:
        return Wanted(paths=(path, _plain(name.replace(b"\\", b"/"))))
    if found := _OF_A_PI.fullmatch(path):
        return Wanted(paths=(path,), of_board=found[1], without=found[2])
    return Wanted(paths=(path,))


def _plain(name: bytes) -> bytes:
    """The path without what has no meaning: "/x" means x, as every TFTP server has it."""
    steps = [step for step in name.split(b"/") if step not in (b"", b".")]
    if b".." in steps:
        raise Refused(Code.ACCESS_VIOLATION, "a name with .. in it leads nowhere")
    if not steps:
        raise Refused(Code.ACCESS_VIOLATION, "that is the directory, not a file")
    return b"/".join(steps)
