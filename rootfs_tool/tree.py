"""The rootfs in memory: what each path is, before any image format sees it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from rootfs_tool.errors import ConfigError

CHUNK = 1 << 20  # bytes of a file read at a time
MAX_LINKS = 40  # what Linux follows before it says ELOOP (path_resolution(7))

Xattrs = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file; a ``Path`` is a host file whose bytes are read when the image is written.

    ``xattrs`` are extended attributes, each once: full name, as "security.capability", and value.
    """

    content: bytes | Path
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    xattrs: Xattrs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    xattrs: Xattrs = ()


@dataclass(frozen=True, slots=True)
class Symlink:
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    kind: Literal["char", "block"]
    major: int
    minor: int
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Node = File | Directory | Symlink | Device


@dataclass(slots=True)
class Tree:
    """Paths are absolute and normal; parents appear by themselves; a clash is an error.

    A path that runs through a symbolic link lands where the board would find it, so a package
    that ships ``/bin/x`` and one that ships ``/usr/bin/y`` meet in a merged-/usr tree.
    """

    _nodes: dict[PurePosixPath, Node] = field(default_factory=dict)
    _origins: dict[PurePosixPath, str] = field(default_factory=dict)

    def add(
        self, path: str | PurePosixPath, node: Node, *, origin: str, replace: bool = False
    ) -> None:
        """Put ``node`` at ``path``; ``origin`` says who brought it.

        A directory that is a link to one here is that one. Raises ConfigError, naming both origins,
        if something else stands there already and ``replace`` is not set.
        """
        at = self.resolve(path)
        there = self._nodes.get(at)
        if isinstance(there, Directory) and isinstance(node, Directory) and not replace:
            return
        if isinstance(there, Symlink) and isinstance(node, Directory) and self._leads(at):
            return
        if there is not None and there != node and not replace:
            raise ConfigError(f"{at} comes from {self._origins[at]} and from {origin}")
        if isinstance(there, Directory) and not isinstance(node, Directory):
            self.remove(at)
        known = isinstance(self._nodes.get(at.parent), Directory)
        for parent in () if known else at.parents:
            if not isinstance(self._nodes.get(parent, Directory()), Directory):
                raise ConfigError(f"{at} of {origin} lies below {parent}, which is no directory")
            if parent not in self._nodes:
                self._nodes[parent], self._origins[parent] = Directory(), origin
        self._nodes[at], self._origins[at] = node, origin

    def _leads(self, at: PurePosixPath) -> bool:
        """Whether the symbolic link at ``at`` leads to a directory."""
        return isinstance(self._nodes.get(self.resolve(at / "x").parent), Directory)

    def get(self, path: str | PurePosixPath) -> Node | None:
        """What stands at ``path`` (a symbolic link at its end is not followed)."""
        return self._nodes.get(self.resolve(path))

    def remove(self, path: str | PurePosixPath) -> None:
        """Take away ``path`` and all below it; nothing happens if it is not there."""
        at = self.resolve(path)
        for gone in [one for one in self._nodes if one == at or at in one.parents]:
            del self._nodes[gone], self._origins[gone]

    def walk(self, below: str | PurePosixPath = "/") -> Iterator[tuple[PurePosixPath, Node]]:
        """Every node at or below a path, parents first, in an order that only the paths decide."""
        at = self.resolve(below)
        if at == PurePosixPath("/"):
            yield from sorted(self._nodes.items())
        else:
            yield from sorted((p, n) for p, n in self._nodes.items() if p == at or at in p.parents)

    def resolve(self, path: str | PurePosixPath) -> PurePosixPath:
        """The absolute path after following every symbolic link but a last one.

        Raises ConfigError on a loop of links or a path that climbs above the root.
        """
        asked = PurePosixPath(path)
        if asked.name != ".." and isinstance(self._nodes.get(asked.parent), Directory):
            return asked  # every path that a node stands at has been followed already
        todo = list(reversed(asked.parts))
        done = PurePosixPath("/")
        followed = 0
        while todo:
            part = todo.pop()
            if part in ("/", "."):
                continue
            if part == "..":
                if done == PurePosixPath("/"):
                    raise ConfigError(f"{path} climbs out of the rootfs")
                done = done.parent
                continue
            node = self._nodes.get(done / part)
            if not isinstance(node, Symlink) or not todo:
                done /= part
                continue
            followed += 1
            if followed > MAX_LINKS:
                raise ConfigError(f"{path} runs in a circle of symbolic links")
            target = PurePosixPath(node.to)
            done = PurePosixPath("/") if target.is_absolute() else done
            todo.extend(reversed(target.parts))
        return done


def st_mode(node: Node) -> int:
    """``st_mode`` as in inode(7): the file type and the permission bits."""
    match node:
        case File():
            return stat.S_IFREG | node.mode
        case Directory():
            return stat.S_IFDIR | node.mode
        case Symlink():
            return stat.S_IFLNK | 0o777
        case Device(kind="char"):
            return stat.S_IFCHR | node.mode
        case Device():
            return stat.S_IFBLK | node.mode


def size(file: File) -> int:
    """Bytes of its content. Raises ConfigError if a host file is not there."""
    if isinstance(file.content, bytes):
        return len(file.content)
    try:
        return file.content.stat().st_size
    except OSError as error:
        raise ConfigError(f"{file.content}: {error.strerror}") from None


def pieces(file: File, length: int) -> Iterator[bytes]:
    """Its content, CHUNK bytes at a time. Raises ConfigError if that is not ``length`` bytes."""
    if isinstance(file.content, bytes):
        yield from (file.content[at : at + CHUNK] for at in range(0, length, CHUNK))
        return
    left = length
    try:
        with file.content.open("rb", buffering=0) as host:
            while left and (block := host.read(min(left, CHUNK))):
                left -= len(block)
                yield block
            if left or host.read(1):
                raise ConfigError(f"{file.content} changed while it was read", hint="build again")
    except OSError as error:
        raise ConfigError(f"{file.content}: {error.strerror}") from None


def name_bytes(name: str) -> bytes:
    """A name or a link's target as it was on disk, even if it is no UTF-8 (PEP 383)."""
    return name.encode(errors="surrogateescape")
