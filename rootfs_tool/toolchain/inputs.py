"""What a compilation read: remembered by its command line, and compared the next time."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rootfs_tool import paths, store
from rootfs_tool.errors import ConfigError
from rootfs_tool.toolchain.compiler import stamp

# Files that only packages bring are told by size and time: a program reads 7 MB of them.
PACKAGED = re.compile(r"/usr/(lib|share|[a-z0-9_]+-linux-gnu)/")
_RULE = re.compile(r"(?:[^\s\\]|\\.)+")


def key(*parts: object) -> str:
    """A digest of what a command line says and of the programs that it would start."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def recalled(of: str) -> str | None:
    """The digest of everything that was read for the key ``of`` the last time, as it is now.

    None if nothing is known of that, or not all of it is there.
    """
    try:
        names = json.loads(_memory(of).read_bytes())
        return _digest(of, names)
    except (OSError, ValueError, TypeError):
        return None


def remember(of: str, names: Iterable[str], *, since: int) -> str:
    """Keep what was read for the key ``of``; returns its digest.

    Raises ConfigError if a file has changed after ``since``, in nanoseconds since 1970.
    """
    read = sorted({os.path.normpath(name) if _is_packaged(name) else name for name in names})
    for name in read:
        if not _is_packaged(name) and os.stat(name).st_ctime_ns > since:  # noqa: PTH116
            raise ConfigError(f"{name} changed while it was compiled", hint="do it again")
    path = _memory(of)
    with store.unwritable(path.parent):
        path.parent.mkdir(exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.write_text(json.dumps(read))
        new.replace(path)
    return _digest(of, read)


def of_compiler(text: str) -> list[str]:
    """The names in a Makefile rule that the compiler wrote for one file (its -MD)."""
    words = _RULE.findall(text.replace("\\\n", " "))
    return [re.sub(r"\\(.)", r"\1", word).replace("$$", "$") for word in words[1:]]


def of_linker(text: str) -> list[str]:
    """The names in what the linker's --dependency-file wrote, which has one on each line."""
    rule = text.partition("\n\n")[0]
    return [line.strip().removesuffix("\\").rstrip() for line in rule.splitlines()[1:]]


def _digest(of: str, names: Sequence[str]) -> str:
    found = hashlib.sha256(of.encode())
    for name in names:
        found.update(f"\0{name}\0{_state(name)}".encode(errors="surrogateescape"))
    return found.hexdigest()


def _state(name: str) -> str:
    if _is_packaged(name):
        return stamp(name)
    with open(name, "rb") as file:  # noqa: PTH123  # two times as fast, and there are many
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_packaged(name: str) -> bool:
    """Whether it came in a package: of this host's, or one that is in the cache by its digest."""
    return PACKAGED.match(name) is not None or name.startswith(f"{paths.cache()}{os.sep}")


def _memory(of: str) -> Path:
    return paths.cache() / "inputs" / f"{of}.json"
