"""A path in a file system, looked up as the board's kernel would."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry

MAX_LINKS = 40  # what Linux follows before it says ELOOP (path_resolution(7))
ROOT = PurePosixPath("/")

Entries = Mapping[PurePosixPath, Entry]


def indexed(entries: Iterable[Entry]) -> dict[PurePosixPath, Entry]:
    """The entries of a file system by their paths."""
    return {entry.path: entry for entry in entries}


def resolve(entries: Entries, path: PurePosixPath, *, follow: bool = True) -> PurePosixPath:
    """The path after every symbolic link, but for a last one unless ``follow``.

    What is above the root is the root, as after chroot(2). Nothing need be at the path. Raises
    ConfigError if the links run in a circle.
    """
    todo = list(reversed(path.parts))
    done = ROOT
    followed = 0
    while todo:
        part = todo.pop()
        if part in ("/", ".."):
            done = done.parent if part == ".." else ROOT
            continue
        entry = entries.get(done / part)
        if entry is None or not stat.S_ISLNK(entry.mode) or not (todo or follow):
            done /= part
            continue
        followed += 1
        if followed > MAX_LINKS:
            raise ConfigError(f"{path} runs in a circle of symbolic links")
        todo.extend(reversed(PurePosixPath(entry.to).parts))
    return done


def find(entries: Entries, path: str, *, follow: bool = True) -> Entry:
    """What is at ``path``. Raises ConfigError, with what was meant perhaps, if nothing is."""
    at = resolve(entries, PurePosixPath("/", path), follow=follow)
    if at in entries:
        return entries[at]
    there = at
    while there not in entries:
        there = there.parent
    if not entries[there].is_directory:
        raise ConfigError(f"{there} is no directory")
    missing = there / at.relative_to(there).parts[0]
    names = [one.name for one in entries if one.parent == there and one != there]
    close = difflib.get_close_matches(missing.name, names, 1)
    hint = f"did you mean {there / close[0]}?" if close else None
    raise ConfigError(f"there is no {missing} in it", hint=hint)
