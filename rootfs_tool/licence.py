"""Licences: what a Debian package's copyright file says, in the words of SPDX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Debian's short names that are not SPDX's, in small letters (copyright-format 1.0, section 7.1).
_SHORT = {
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0",
    "artistic-2": "Artistic-2.0",
    "cc0": "CC0-1.0",
    "expat": "MIT",
    "gpl": "GPL-1.0-or-later",  # no version: any that was ever published
    "lgpl": "LGPL-2.0-or-later",
}
_GNU = re.compile(
    r"(?P<family>A?GPL|LGPL|GFDL)(?P<invariants>-NIV)?-(?P<major>\d)(\.(?P<minor>\d))?"
    r"((?P<later>\+|-or-later)|-only)?",
    re.IGNORECASE,
)
_COMMON = re.compile(r"/usr/share/common-licenses/([\w.+-]*[\w+])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """``expression`` is SPDX's (annex D of SPDX 2.3).

    ``named`` are the common licences, by the names of Debian's files, to which a text refers that
    only a person can read.
    """

    expression: str
    named: tuple[str, ...] = ()


def of(text: str, package: str) -> Licence:
    """The licence of ``package`` by the text of its copyright file.

    It is that of the whole source package: nothing says which of its files a binary is made from.
    What SPDX has no name for is "LicenseRef-PACKAGE-NAME", and a file that is not machine-readable
    "LicenseRef-PACKAGE".
    """
    said = {_expression(one, package) for one in _declared(text)}
    if not said:
        named = tuple(sorted(set(_COMMON.findall(text))))
        return Licence(expression=_reference(package), named=named)
    return Licence(expression=joined(said))


def joined(expressions: set[str]) -> str:
    """All of them at once, each part of them once."""
    parts = {part for one in expressions for part in _conjuncts(one)}
    if len(parts) == 1:
        return parts.pop()
    return " AND ".join(sorted(f"({one})" if " OR " in one else one for one in parts))


def _declared(text: str) -> Iterator[str]:
    """The licences that the stanzas of a machine-readable file declare, as it writes them."""
    stanzas = [_fields(stanza) for stanza in re.split(r"\n[ \t]*\n", text.strip())]
    if "format" not in stanzas[0]:
        return
    for stanza in stanzas:
        if "files" in stanza or stanza is stanzas[0]:
            first = stanza.get("license", "").partition("\n")[0].strip()
            if first:
                yield first


def _fields(stanza: str) -> dict[str, str]:
    """The fields of a stanza by their names in small letters (deb822(5))."""
    fields = (field.partition(":") for field in re.split(r"\n(?=\S)", stanza))
    return {name.lower(): value.strip(" \t") for name, _, value in fields}


def _expression(text: str, package: str) -> str:
    """One declaration: names with `and`, `or`, and a comma where the words before it bind first."""
    groups = re.split(r",\s+(and|or)\s+", text, flags=re.IGNORECASE)
    for at in range(0, len(groups), 2):
        words = re.split(r"\s+(and|or)\s+", groups[at], flags=re.IGNORECASE)
        words[::2] = [_licence(name.strip(), package) for name in words[::2]]
        words[1::2] = [word.upper() for word in words[1::2]]
        several = len(groups) > 1 and "OR" in words
        groups[at] = f"({' '.join(words)})" if several else " ".join(words)
    groups[1::2] = [word.upper() for word in groups[1::2]]
    return " ".join(groups)


def _conjuncts(expression: str) -> list[str]:
    return [expression] if " OR " in expression else expression.split(" AND ")


def _licence(name: str, package: str) -> str:
    """One licence by its short name, with its exception if it has one."""
    from cyclonedx.spdx import is_expression  # not free to import

    licence, *exception = re.split(r"\s+with\s+", name, maxsplit=1, flags=re.IGNORECASE)
    found = _identifier(licence)
    if found and exception:
        words = exception[0].split()
        if words[-1].lower() == "exception":
            words.pop()
        said = _known("-".join(words)) or _known("-".join((*words, "exception")))
        found = f"{found} WITH {said}" if said else None
    if found is None or not is_expression(found):  # the list has names that are none any more
        return _reference(f"{package}-{name.replace('+', '-or-later')}")
    return found


def _identifier(name: str) -> str | None:
    """SPDX's name of a licence that Debian calls ``name``; None if it has none."""
    gnu = _GNU.fullmatch(name)
    if gnu is None:
        return _SHORT.get(name.lower()) or _known(name)
    invariants = "-no-invariants" if gnu["invariants"] else ""
    later = "or-later" if gnu["later"] else "only"
    return _known(f"{gnu['family']}-{gnu['major']}.{gnu['minor'] or 0}{invariants}-{later}")


def _known(name: str) -> str | None:
    """The name as SPDX's list has it, whatever its capitals."""
    from cyclonedx.spdx import fixup_id  # not free to import

    return fixup_id(name)


def _reference(name: str) -> str:
    return "LicenseRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
