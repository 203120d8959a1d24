"""rootfs-tool clean: removes a build, or what is in the cache, and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rootfs_tool import events, manifest, output, paths, store
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import BuiltFile

DAY = 86_400  # seconds
RUN = re.compile(r"\d{4}-\d\d-\d\dT\d{6}(\.\d+)?")  # what a bring-up calls its directory in runs/
OF_A_RUN = ("console.log", "report.json", "report.new")
SHELVES = (*get_args(store.Kind), "apt", "inputs", "taken")
LOCKS = (".lock", "lock")  # files of a shelf that builds wait for: these stay

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """``size`` is in bytes, as they were taken on the disk."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One kind of entries in the cache, with the bytes that they take on the disk.

    ``removed`` of the ``entries`` went, and with them the ``freed`` of the ``size``.
    """

    name: str
    entries: int
    size: int
    removed: int
    freed: int


def clean(directory: Path, *, runs: bool = False, dry: bool = False) -> tuple[Removed, ...]:
    """Remove the build in ``directory``, and with ``runs`` what bring-ups have left there.

    A file goes if the manifest names it and it is as it was built; anything else stays, and so do
    links, wherever they lead. ``dry`` removes nothing. Waits for a build that is made there. Raises
    ConfigError if there is none, or it can't be removed.
    """
    _check(directory)
    with store.locked(directory):
        _check(directory)  # another may have cleaned it meanwhile
        build = manifest.read(directory)
        known = {file.name: file for file in build.files()}
        names = (*sorted(output.names(build)), "manifest.json")
        found = [_file(directory, name, known.get(name), dry=dry) for name in names]
        if runs:
            found += _runs(directory, dry=dry)
        if not dry:
            shutil.rmtree(directory / output.NEW, ignore_errors=True)  # of a build that was killed
            for below in (directory / "licences", directory / "runs", directory):
                with suppress(OSError):  # it holds something else
                    below.rmdir()
    return tuple(one for one in found if one is not None)


def _check(directory: Path) -> None:
    if not (directory / "manifest.json").is_file():
        raise ConfigError(
            f"{directory} holds no build", hint="its manifest.json would say what may be removed"
        )


def _file(directory: Path, name: str, built: BuiltFile | None, *, dry: bool) -> Removed | None:
    """Remove a file below ``directory``, if it is one and is as it was built."""
    path = directory / name
    with _holding(directory, name) as holder:
        if holder is None:
            return None
        try:
            found = os.stat(path.name, dir_fd=holder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode) or (built and not _is(built, path.name, holder)):
            events.note(f"{path} is not as it was built: it stays")
            return None
        if not dry:
            with _permitted(path):
                os.unlink(path.name, dir_fd=holder)
    return Removed(path=path, size=found.st_blocks * 512 if found.st_nlink == 1 else 0)


@contextmanager
def _holding(directory: Path, name: str) -> Iterator[int | None]:
    """The directory that holds the file ``name``, open; None where a link leads out of the way."""
    at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in Path(name).parent.parts:
            try:
                below = os.open(part, _DIRECTORY, dir_fd=at)
            except (FileNotFoundError, NotADirectoryError):  # the second of a link as well
                yield None
                return
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _is(built: BuiltFile, name: str, holder: int) -> bool:
    """Whether the file has the bytes that were built."""
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=holder), "rb") as file:
        if os.fstat(file.fileno()).st_size != built.size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == built.sha256


@contextmanager
def _permitted(path: Path) -> Iterator[None]:
    """Say in one line that ``path`` can't be removed."""
    try:
        yield
    except OSError as error:  # which names a file without the directories above it
        raise ConfigError(f"{path} can't be removed: {error.strerror}") from None


def _runs(directory: Path, *, dry: bool) -> list[Removed | None]:
    """Remove what bring-ups have written, but for one that goes on."""
    runs = directory / "runs"
    found: list[Removed | None] = []
    for run in sorted(runs.iterdir()) if runs.is_dir() and not runs.is_symlink() else ():
        if run.is_symlink() or not run.is_dir() or not RUN.fullmatch(run.name):
            continue
        with store.unused(run) as unused:
            if not unused:
                events.note(f"{run} is of a bring-up that is running: it stays")
                continue
            found += [_file(directory, f"runs/{run.name}/{one}", None, dry=dry) for one in OF_A_RUN]
        if not dry:
            with suppress(OSError):  # it holds something else
                run.rmdir()
    return found


def clean_cache(*, days: float | None = None, dry: bool = False) -> tuple[Shelf, ...]:
    """Empty the cache, or drop what no build has used for ``days``.

    ``dry`` removes nothing. Waits for builds that are running. Raises ConfigError if an entry
    can't be removed.
    """
    before = time.time() if days is None else time.time() - days * DAY
    with store.locked(paths.cache()):
        shelves = ((name, paths.cache() / name) for name in SHELVES)
        return tuple(
            _shelf(name, path, lambda entry: days is None or _last_used(entry) < before, dry=dry)
            for name, path in shelves
            if path.is_dir() and not path.is_symlink()
        )


def _shelf(name: str, path: Path, goes: Callable[[Path], bool], *, dry: bool) -> Shelf:
    entries = {one: _taken(one) for one in sorted(path.iterdir()) if one.name not in LOCKS}
    gone = {entry: size for entry, size in entries.items() if goes(entry)}
    if not dry:
        for entry in gone:
            with _permitted(entry):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
    return Shelf(
        name=name,
        entries=len(entries),
        size=sum(entries.values()),
        removed=len(gone),
        freed=sum(gone.values()),
    )


def _last_used(entry: Path) -> float:
    """When, in seconds since 1970: every use reads the index of an entry, or writes beside it.

    A file system that keeps no times of reading gives the time of writing.
    """
    files = [entry, *(entry.iterdir() if entry.is_dir() and not entry.is_symlink() else ())]
    found = [file.lstat() for file in files if not file.is_dir()] or [entry.lstat()]
    times: list[float] = [when for one in found for when in (one.st_atime, one.st_mtime)]
    return max(times)


def _taken(path: Path) -> int:
    """Bytes on the disk of all that is below it; a file with two names counts once."""
    seen = {}
    for directory, _, files in os.walk(path) if path.is_dir() and not path.is_symlink() else ():
        for one in (directory, *(f"{directory}/{file}" for file in files)):
            found = os.lstat(one)
            seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values()) if seen else path.lstat().st_blocks * 512
