"""What takes the space in an image: every directory with all that is below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from rootfs_tool.filesystem import lookup
from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.opened import Opened, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A file, or a directory or a card with all that is in it.

    ``size`` is what its files hold, ``taken`` what they take in the image, which is less where they
    are compressed one by one; both in bytes. A file of several names counts at the first one.
    ``parts`` come largest first.
    """

    path: str
    size: int
    taken: int
    parts: tuple[Usage, ...] = ()

    def walk(self, depth: int) -> Iterator[tuple[int, Usage]]:
        """This one and what is in it, down to ``depth`` levels, with the level of each."""
        yield 0, self
        if depth > 0:
            for part in self.parts:
                yield from ((level + 1, one) for level, one in part.walk(depth - 1))


def usage(image: Opened) -> Usage:
    """Raises ConfigError if the image can't be read."""
    volumes = [_volume(volume) for volume in image.volumes if volume.kind]
    if not image.is_card:
        return volumes[0]
    return _sum("", volumes)


def _volume(volume: Volume) -> Usage:
    below: dict[PurePosixPath, list[Usage]] = {}
    first = {one.inode: one.path for one in reversed(volume.entries.values()) if one.inode}
    # A directory comes before what is in it, so backwards its parts are known.
    for entry in reversed(volume.entries.values()):
        path = f"{volume.prefix}{entry.path}"
        if entry.is_directory:
            made = _sum(path, below.pop(entry.path, []))
        elif first.get(entry.inode, entry.path) == entry.path:
            made = Usage(path=path, size=entry.size, taken=_taken(entry))
        else:
            made = Usage(path=path, size=0, taken=0)
        below.setdefault(entry.path.parent, []).append(made)
    return below[lookup.ROOT][0]


def _taken(entry: Entry) -> int:
    if entry.stored is not None:
        return entry.stored
    return sum(length for _, length in entry.extents) or entry.size


def _sum(path: str, parts: list[Usage]) -> Usage:
    return Usage(
        path=path,
        size=sum(part.size for part in parts),
        taken=sum(part.taken for part in parts),
        parts=tuple(sorted(parts, key=lambda part: (-part.taken, -part.size, part.path))),
    )
