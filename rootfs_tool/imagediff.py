"""What two images differ in: partitions, files, or only bytes, and then to what those belong."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.imagefile import ImageFile
from rootfs_tool.filesystem.opened import Opened, Volume
from rootfs_tool.filesystem.places import place

CHUNK = 1 << 20  # bytes compared at a time
SHOWN = 60  # characters of a value in a sentence
LARGEST_TEXT = 1 << 20  # bytes of a file of which a unified diff is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that ``a`` and ``b`` say differently; "" is what one of them does not say."""

    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """``path`` is a file's, such as "2:/etc/fstab", or "partition 2".

    ``byte`` is the first one of a file that differs, ``text`` a unified diff of its lines.
    """

    path: str
    only: Literal["a", "b"] | None = None
    changes: tuple[Change, ...] = ()
    byte: int | None = None
    text: str = ""


def differences(a: Opened, b: Opened, *, content: bool = False) -> Iterator[Difference]:
    """What differs in the partition tables, then in each file system; ``content`` wants the text.

    Raises ConfigError if something can't be read, or one is a card and the other is none.
    """
    if a.is_card != b.is_card:
        card, other = (a, b) if a.is_card else (b, a)
        raise ConfigError(f"{card.path} is a card and {other.path} a file system")
    others = {volume.prefix: volume for volume in b.volumes}
    for volume in a.volumes:
        other_volume = others.pop(volume.prefix, None)
        if other_volume is None:
            yield Difference(path=f"partition {volume.prefix[:-1]}", only="a")
            continue
        changes = tuple(_changes(_partition(volume), _partition(other_volume)))
        if changes:
            named = f"partition {volume.prefix[:-1]}" if volume.prefix else "the image"
            yield Difference(path=named, changes=changes)
        yield from _files(volume, other_volume, content)
    for prefix in others:
        yield Difference(path=f"partition {prefix[:-1]}", only="b")


def first_difference(a: Path, b: Path) -> str:
    """A sentence about the first byte that two images differ in; "" if there is none.

    It says to what that byte belongs (a file and its place in it, an inode, a table), and the first
    file that differs. Raises ConfigError if one can't be read; an image of which nothing is known
    is compared all the same.
    """
    offset = first_byte(a, b)
    if offset is None:
        return ""
    said = f"{a} and {b} differ from byte {offset} on"
    sizes = [ImageFile(path).size for path in (a, b)]
    if offset == min(sizes):
        return f"{said}, where the shorter one ends"
    places = dict.fromkeys(_place(path, offset) for path in (a, b))
    return f"{said}: {' or '.join(places)}{_in_files(a, b)}"


def first_byte(a: Path, b: Path) -> int | None:
    """The first byte at which two files differ, be it that one ends there; None if they don't."""
    files = [ImageFile(path) for path in (a, b)]
    least, most = sorted(file.size for file in files)
    at = 0
    while at < least:
        # What is a hole in both reads as zeros in both.
        at = min(file.data_from(at) for file in files)
        first, second = (file.some(at, min(CHUNK, max(least - at, 0))) for file in files)
        if first != second:
            return at + _mismatch(first, second)
        at += CHUNK
    return None if least == most else least


def _place(path: Path, offset: int) -> str:
    try:
        return place(Opened(path), offset)
    except ConfigError as error:
        return f"what is there is not known ({error})"


def _in_files(a: Path, b: Path) -> str:
    """What a byte of a table or of a packed archive does not tell: the first file that differs."""
    try:
        first = next(differences(Opened(a), Opened(b)), None)
    except ConfigError:
        return ""
    return f"; first of all {sentence(first)}" if first is not None else "; all files are the same"


def sentence(difference: Difference) -> str:
    """A difference on a line, with ``a`` before the arrow and ``b`` behind it."""
    if difference.only is not None:
        return f"{difference.path} is only in the {'first' if difference.only == 'a' else 'second'}"
    said = [f"{one.what} {_short(one.a)} -> {_short(one.b)}" for one in difference.changes]
    if difference.byte is not None:
        said.append(f"bytes from {difference.byte} on")
    return f"{difference.path}: {', '.join(said)}"


def _short(value: str) -> str:
    if len(value) > SHOWN:
        return f"{value[:SHOWN]}…"
    return value or "none"


def _partition(volume: Volume) -> dict[str, str]:
    said = {"file system": volume.kind}
    if volume.kind:
        said["label"] = volume.filesystem.label
    if volume.partition is not None:
        one = volume.partition
        said |= {"start": str(one.start), "size": str(one.size), "type": one.type}
        said |= {"name": one.label, "uuid": one.uuid, "bootable": "yes" if one.bootable else "no"}
    return said


def _files(a: Volume, b: Volume, content: bool) -> Iterator[Difference]:
    for path in sorted(a.entries.keys() | b.entries.keys()):
        named = f"{a.prefix}{path}"
        one, other = a.entries.get(path), b.entries.get(path)
        if one is None or other is None:
            yield Difference(path=named, only="a" if other is None else "b")
            continue
        changes, at, text = tuple(_changes(_entry(one), _entry(other))), None, ""
        if stat.S_ISREG(one.mode) and stat.S_ISREG(other.mode):
            at = _first(a.filesystem.read(one), b.filesystem.read(other))
            if at is not None and content:
                text = _text_diff(named, a, b, path)
        if changes or at is not None:
            yield Difference(path=named, changes=changes, byte=at, text=text)


def _entry(entry: Entry) -> dict[str, str]:
    said = {
        "type": type_name(entry.mode),
        "mode": f"{stat.S_IMODE(entry.mode):04o}",
        "owner": f"{entry.uid}:{entry.gid}",
        "link": entry.to,
        "time": str(entry.mtime),
    }
    if stat.S_ISREG(entry.mode):
        said["size"] = str(entry.size)
    if stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode):
        said["device"] = f"{entry.major}:{entry.minor}"
    return said | {f"xattr {name}": value.hex() for name, value in entry.xattrs.items()}


def type_name(mode: int) -> str:
    """What kind of file a mode is that of, in a word."""
    names = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "link",
        stat.S_IFCHR: "char",
        stat.S_IFBLK: "block",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
    }
    return names.get(stat.S_IFMT(mode), "unknown")


def _changes(a: dict[str, str], b: dict[str, str]) -> Iterator[Change]:
    for what in dict.fromkeys((*a, *b)):
        if a.get(what, "") != b.get(what, ""):
            yield Change(what=what, a=a.get(what, ""), b=b.get(what, ""))


def _first(a: Iterator[bytes], b: Iterator[bytes]) -> int | None:
    """The first byte in which two files differ that come in pieces of any length."""
    one = other = b""
    done = 0
    while True:
        one, other = one or next(a, b""), other or next(b, b"")
        length = min(len(one), len(other))
        if one[:length] != other[:length]:
            return done + _mismatch(one[:length], other[:length])
        if not length:
            return done if one or other else None
        one, other = one[length:], other[length:]
        done += length


def _mismatch(a: bytes, b: bytes) -> int:
    """The first index at which two byte strings, which are not the same, differ."""
    return next(at for at, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1])


def _text_diff(named: str, a: Volume, b: Volume, path: PurePosixPath) -> str:
    """A unified diff of a file; "" if it is no text, or long."""
    one = _text(a.filesystem.read(a.entries[path]))
    other = _text(b.filesystem.read(b.entries[path]))
    if one is None or other is None:
        return ""
    inside = named.lstrip("/")
    lines = difflib.unified_diff(one, other, f"a/{inside}", f"b/{inside}", lineterm="")
    return "\n".join(lines) + "\n"


def _text(pieces: Iterable[bytes]) -> list[str] | None:
    """The lines of a text; None if it is none, or too long."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > LARGEST_TEXT or b"\0" in piece:
            return None
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError:
        return None
