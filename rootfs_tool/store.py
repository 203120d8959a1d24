"""The cache's entries: directories of files, whole or not there, with an index of what they are.

Each lies at ``KIND/DIGEST/`` below the cache directory, where the digest is of what it was made
from. It is made under another name and renamed when it is whole, so that two builds at once, or a
build that is killed, never leave half of one. Owners and modes stand in ``index.json``, because
those on this host's disk are the user's and the umask's.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from rootfs_tool import events, paths
from rootfs_tool.errors import FetchError
from rootfs_tool.tree import Directory, File, Node, Symlink

FORMAT = 1
MAKING = ".making-"  # what the names of directories start with that are no entries yet
# These carry a checksum of their own, or are few of very many and looked at when they are used.
UNCHECKED = (".xz", ".zst", ".gz", ".dtb")

Kind = Literal["unpacked", "scripts", "modules", "init", "segments", "sbom", "compiled"]


class Row(NamedTuple):
    """``mode`` is st_mode as in inode(7), ``value`` a file's size in bytes or a link's target."""

    mode: int
    uid: int
    gid: int
    value: int | str


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry. ``rows`` has what is in it by absolute path on the board, as index.json does."""

    directory: Path
    rows: dict[str, list[int | str]]

    @property
    def digest(self) -> str:
        return self.directory.name

    def path(self, name: str) -> Path:
        """Where the bytes of a file lie on this host."""
        return Path(f"{self.directory}/files{name}")

    def checked(self, name: str) -> Path:
        """Like ``path``. Raises FetchError if the file is not as long as it was."""
        path = self.path(name)
        if _size(path) != self.rows[name][3]:
            raise self.damaged(name)
        return path

    def damaged(self, name: str) -> FetchError:
        """The error that says so; the entry is dropped, for it is made again when it is missing."""
        self.drop()
        return FetchError(f"{self.path(name)} in the cache was damaged", hint="build again")

    def drop(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """Everything in it, as a tree takes it."""
        for name, row in self.rows.items():
            mode, uid, gid, value = Row(*row)  # type: ignore[arg-type]  # JSON's numbers
            if stat.S_ISREG(mode):
                content = self.path(name)
                yield name, File(content=content, mode=stat.S_IMODE(mode), uid=uid, gid=gid)
            elif stat.S_ISDIR(mode):
                yield name, Directory(mode=stat.S_IMODE(mode), uid=uid, gid=gid)
            else:
                yield name, Symlink(str(value))

    def whole(self) -> bool:
        """Whether every file is there, and as long as it was.

        A kernel has thousands that a build does not use; those are left to ``checked``.
        """
        return all(
            _size(f"{self.directory}/files{name}") == row[3]
            for name, row in self.rows.items()
            if stat.S_ISREG(int(row[0])) and not name.endswith(UNCHECKED)
        )


@dataclass(frozen=True, slots=True)
class Making:
    """An entry that is being made, in a directory that nobody else looks at."""

    directory: Path
    rows: dict[str, Row] = field(default_factory=dict)

    def file(
        self, name: str, content: Iterable[bytes], *, mode: int, uid: int = 0, gid: int = 0
    ) -> None:
        """Take in all of ``content`` as the file ``name``."""
        path = Path(f"{self.directory}/files{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            out.writelines(content)
            size = out.tell()
        self.rows[name] = Row(stat.S_IFREG | mode, uid, gid, size)

    def node(self, name: str, node: Node) -> None:
        """Take in a node that has its own bytes, if any."""
        match node:
            case File(content=bytes() as content, xattrs=()):
                self.file(name, [content], mode=node.mode, uid=node.uid, gid=node.gid)
            case Directory(xattrs=()):
                self.folder(name, mode=node.mode, uid=node.uid, gid=node.gid)
            case Symlink():
                self.symlink(name, node.to)
            case _:
                raise TypeError(f"{name} is not for the cache: {node}")

    def hardlink(self, name: str, to: str) -> None:
        """Another name of a file that is in already."""
        path = Path(f"{self.directory}/files{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(f"{self.directory}/files{to}")
        self.rows[name] = self.rows[to]

    def folder(self, name: str, *, mode: int, uid: int = 0, gid: int = 0) -> None:
        self.rows[name] = Row(stat.S_IFDIR | mode, uid, gid, 0)

    def symlink(self, name: str, to: str) -> None:
        self.rows[name] = Row(stat.S_IFLNK | 0o777, 0, 0, to)


def find(kind: Kind, digest: str) -> Stored | None:
    """The entry, if it is there and whole; one that is damaged is dropped."""
    directory = paths.cache() / kind / digest
    try:
        index = json.loads((directory / "index.json").read_bytes())
        if index["format"] == FORMAT:
            stored = Stored(directory, index["rows"])
            if stored.whole():
                return stored
    except FileNotFoundError:
        if not directory.exists():
            return None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # torn, or of another rootfs-tool: it is made again
    shutil.rmtree(directory, ignore_errors=True)
    return None


def kept(
    kind: Kind, digest: str, make: Callable[[], Iterable[tuple[PurePosixPath, Node]]]
) -> Iterator[tuple[str, Node]]:
    """The nodes of the entry, which ``make`` makes if it is not there. Raises FetchError."""
    stored = find(kind, digest)
    if stored is None:
        nodes = list(make())
        with making(kind, digest) as one:
            for path, node in nodes:
                one.node(str(path), node)
        stored = find(kind, digest)
        if stored is None:
            raise FetchError(f"{paths.cache()} does not keep what is written to it")
    return stored.nodes()


@contextmanager
def making(kind: Kind, digest: str, *, keep: int | None = None) -> Iterator[Making]:
    """Make the entry in the block; it is there, whole, when the block ends without an error.

    ``keep`` is how many entries of the kind may stay: the newest. Raises FetchError if the cache
    can't be written.
    """
    shelf = paths.cache() / kind
    with unwritable(shelf):
        shelf.mkdir(exist_ok=True)
        with locked(shelf / ".lock"):
            for stale in shelf.glob(f"{MAKING}*"):  # whoever made it was killed: we have the lock
                shutil.rmtree(stale, ignore_errors=True)
            directory = shelf / f"{MAKING}{os.getpid()}"
            directory.mkdir()
            try:
                one = Making(directory)
                yield one
                table = {"format": FORMAT, "rows": one.rows}
                (directory / "index.json").write_text(json.dumps(table, separators=(",", ":")))
                if not (shelf / digest).exists():
                    directory.rename(shelf / digest)
                if keep is not None:
                    with suppress(FileNotFoundError):  # a build that found one damaged dropped it
                        _make_room(shelf / digest, keep)
            finally:
                shutil.rmtree(directory, ignore_errors=True)


def _make_room(new: Path, keep: int) -> None:
    """Drop the oldest entries, so that ``keep`` stay with the new one."""
    others = [path for path in new.parent.iterdir() if path != new and path.name[0] != "."]
    others.sort(key=lambda path: path.stat().st_mtime_ns)
    for old in others[: max(0, len(others) + 1 - keep)]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def used() -> Iterator[None]:
    """Keep what is in the cache there until the block ends, for other builds do not."""
    with locked(paths.cache(), shared=True):
        yield


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep other builds out of the block; the kernel lets go when this process ends, however.

    ``path`` is a directory, or a file of its own in the directory that it stands for. ``shared``
    lets in those that are shared too.
    """
    directory = path.is_dir()
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    lock = os.open(path, os.O_RDONLY if directory else os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            uses = path if directory else path.parent
            events.note(f"another build uses {uses}, waiting for it to end")
            fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


@contextmanager
def unused(directory: Path) -> Iterator[bool]:
    """Whether nobody has ``directory`` locked; it is locked until the block ends if so."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


@contextmanager
def unwritable(where: Path) -> Iterator[None]:
    """Say so in one line when the block can't write ``where``."""
    try:
        yield
    except BrokenPipeError:  # of whoever reads what we say
        raise
    except OSError as error:
        raise FetchError(f"{error.filename or where}: {error.strerror}") from None


def _size(path: str | Path) -> int:
    """In bytes; -1 if it is not there."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  # twice as fast, and a kernel has a thousand
    except OSError:
        return -1
