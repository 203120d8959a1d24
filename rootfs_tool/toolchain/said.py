"""What compilers and linkers say, as notes or as an error, with the names that a person knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rootfs_tool.errors import CommandError

LINES = 60  # of it, that an error shows

_LINKER = re.compile(r"^\S*/\S*ld(\.bfd|\.gold)?: ", re.MULTILINE)
_FUNCTION = re.compile(r"(?:ld: )?(?P<object>.+?): in function `.*':")
# GNU ld on a function of glibc's that loads another of its libraries when it is called: NSS.
_SHARED = re.compile(r".*: warning: Using '(?P<name>\w+)' in statically linked applications .*")
_DLOPEN = "dlopen"  # which no static program can do, whatever it is linked with


def plain(text: str, known_as: Mapping[str, str]) -> str:
    """With the names that a person knows in the place of ``known_as``' keys, the longest first."""
    for name in sorted(known_as, key=len, reverse=True):
        text = text.replace(name, known_as[name])
    return _LINKER.sub("ld: ", text).strip()


def notes(text: str) -> tuple[str, ...]:
    """What to tell of a program that was made; ``text`` is as ``plain`` gives it.

    Functions that a static glibc can't do alone are one note for each file that calls them.
    """
    calls: dict[str, list[str]] = {}
    rest: list[str] = []
    where = heading = ""
    for line in text.splitlines():
        if function := _FUNCTION.fullmatch(line):
            where, heading = function["object"], line
        elif (shared := _SHARED.fullmatch(line)) and shared["name"] != _DLOPEN:
            calls.setdefault(where.rpartition("/")[2], []).append(shared["name"])
        else:
            rest += [heading, line] if heading else [line]
            heading = ""
    warnings = "\n".join(rest).strip()
    found = (_without_libraries(file, names) for file, names in calls.items())
    return (*([warnings] if warnings else []), *found)


def _without_libraries(file: str, names: Sequence[str]) -> str:
    called = ", ".join(f"{name}()" for name in sorted(set(names)))
    return (
        f"{file} calls {called}: even in a static program glibc may want its shared libraries on "
        "the board for that (before 2.34 always, later for all but /etc and DNS); musl never does: "
        '--libc musl, or libc = "musl" in a recipe'
    )


def failed(
    what: str, argv: Sequence[str], text: str, *, last: bool, hint: str | None
) -> CommandError:
    """The error of a program that failed: ``what``, and the first or ``last`` LINES it said."""
    lines = text.splitlines()
    left_out = len(lines) - LINES
    if left_out > 0:
        more = f"({left_out} more lines)"
        lines = [more, *lines[-LINES:]] if last else [*lines[:LINES], more]
    return CommandError("\n".join([what, *lines]), argv=argv, output=text, hint=hint)
