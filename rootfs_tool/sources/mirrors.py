"""Where this host has Debian from: its own apt entries, turned to the suite that is wanted."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool import proc
from rootfs_tool.errors import FetchError

VARIABLE = "ROOTFS_TOOL_APT_SOURCES"
HINT = (
    f"{VARIABLE}=/path/to/debian.sources names a file of apt sources to use instead "
    "(sources.list(5), deb822 style)"
)

# A third party's entry may well have the suite "stable", but hardly signed by Debian.
SUITES = frozenset(
    (
        *("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"),
        *("buster", "bullseye", "bookworm", "trixie", "forky", "duke"),
    )
)
ROLLING = ("sid", "unstable")  # these have no updates or security suite beside them
KEYRING = "debian-archive"  # in the name of each keyring of the package debian-archive-keyring
KEPT = ("signed-by", "trusted", "check-valid-until", "check-date", "valid-until-max")

_SUITE = re.compile(r"(?P<base>[a-z]+)(?P<pocket>-updates|-security|/updates)?")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>(?!cdrom:)\S+)\s+(?P<rest>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of apt's sources; ``options`` are KEPT fields as deb822 writes them."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


def sources(suite: str, component: str) -> str:
    """Sources for apt, in deb822 style, for one suite of Debian and what updates it.

    Raises FetchError with a hint if this host has no entry for Debian's archive.
    """
    named = os.environ.get(VARIABLE)
    if named:
        entries, more = _read(Path(named), must=True), False
    else:
        foreign = _foreign()
        entries = [entry for entry in _of_host() if is_debian(entry, foreign)]
        more = True
    text = derived(entries, suite=suite, component=component, updates=more)
    if not text:
        where = named or "this host's apt configuration"
        raise FetchError(f"{where} has no entry for Debian's archive", hint=HINT)
    return text


def is_debian(entry: Entry, foreign: Collection[str] = ()) -> bool:
    """Whether it is of Debian itself, as far as an entry tells; ``foreign`` URIs are known not."""
    if any(uri.rstrip("/") in foreign for uri in entry.uris):
        return False
    signed_by = dict(entry.options).get("signed-by", KEYRING)
    bases = {match["base"] for one in entry.suites if (match := _SUITE.fullmatch(one))}
    return KEYRING in signed_by and "main" in entry.components and not bases.isdisjoint(SUITES)


def derived(entries: list[Entry], *, suite: str, component: str, updates: bool) -> str:
    """The same places for ``suite``; ``updates`` adds its -updates to each that has the suite."""
    seen: set[tuple[str, str]] = set()
    stanzas = []
    for entry in entries:
        suites = dict.fromkeys(_turned(entry.suites, suite, updates=updates))
        for uri in entry.uris:
            new = [one for one in suites if (uri, one) not in seen]
            seen.update((uri, one) for one in new)
            if new:
                fields = {
                    "Types": "deb",
                    "URIs": uri,
                    "Suites": " ".join(new),
                    "Components": component,
                    "Targets": "Packages",  # a host may fetch file lists and icons by default
                    **{name.title(): value for name, value in entry.options},
                }
                stanzas.append("".join(f"{name}: {value}\n" for name, value in fields.items()))
    return "\n".join(stanzas)


def _turned(suites: tuple[str, ...], suite: str, *, updates: bool) -> Iterator[str]:
    for one in suites:
        match = _SUITE.fullmatch(one)
        if match is None:
            continue  # backports, proposed-updates and what else is not for everybody
        if match["pocket"] is None:
            yield suite
            if updates and suite not in ROLLING:
                yield f"{suite}-updates"
        elif suite not in ROLLING:
            yield suite + ("-updates" if match["pocket"] == "-updates" else "-security")


def parse(text: str, *, deb822: bool) -> list[Entry]:
    """The binary-package entries of one file that apt reads, without those that are disabled."""
    return list(_stanzas(text) if deb822 else _lines(text))


def _stanzas(text: str) -> Iterator[Entry]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", lines):
        fields: dict[str, str] = {}
        for field in re.split(r"\n(?=\S)", stanza.strip("\n")):
            name, _, value = field.partition(":")
            fields[name.lower()] = value.strip(" \t") if "\n" in value else value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        yield _entry(
            fields.get("uris", "").split(),
            fields.get("suites", "").split(),
            fields.get("components", "").split(),
            fields,
        )


def _lines(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(one.split("=", 1) for one in (match["options"] or "").split() if "=" in one)
        suite, *components = match["rest"].split()
        yield _entry([match["uri"]], [suite], components, options)


def _entry(
    uris: list[str], suites: list[str], components: list[str], fields: dict[str, str]
) -> Entry:
    return Entry(
        uris=tuple(uri for uri in uris if not uri.startswith("cdrom:")),
        suites=tuple(suites),
        components=tuple(components),
        options=tuple((name, fields[name]) for name in KEPT if name in fields),
    )


def _of_host() -> Iterator[Entry]:
    """What apt itself reads on this host: sources.list and every file beside it."""
    said = proc.run(
        "apt-config", "shell", "FILE", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"
    )
    where = dict(re.findall(r"(\w+)='(.*)'", said))
    parts = Path(where.get("PARTS", ""))
    for path in (Path(where.get("FILE", "")), *sorted(parts.glob("*"))):
        if path.suffix in (".list", ".sources"):
            yield from _read(path, must=False)


def _foreign() -> frozenset[str]:
    """The URIs whose lists are on this host and say that they are of somebody else."""
    said = proc.run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)")
    known = (line.partition(" ") for line in said.splitlines())
    return frozenset(
        uri.rstrip("/") for uri, _, origin in known if origin not in ("", "Debian", "$(ORIGIN)")
    )


def _read(path: Path, *, must: bool) -> list[Entry]:
    try:
        return parse(path.read_text(errors="replace"), deb822=path.suffix == ".sources")
    except OSError as error:
        if must:
            raise FetchError(f"{path}: {error.strerror}", hint=f"{VARIABLE} names it") from None
        return []
