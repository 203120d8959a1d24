"""The directory out/: made beside the build that lies there, and put in its place when whole."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rootfs_tool import manifest, store
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import Build, BuiltFile

CHUNK = 1 << 17  # bytes compared at a time: more of them do not stay in the processor
NEW = ".new"  # the directory in out/ where a build is made


@dataclass(frozen=True, slots=True)
class Output:
    """A build that is being made in ``directory``, beside the one before it in ``out``."""

    out: Path
    directory: Path
    names: list[str] = field(default_factory=list)
    strange: bool = False  # no build was there before: what lies in ``out`` is somebody's own

    def reserve(self, name: str) -> Path:
        """Where to write the file that will be called ``name``.

        Raises ConfigError if that would replace a file that no build has made.
        """
        if name in self.names:
            raise ConfigError(f"two files of the build would be called {name}")
        if self.strange and os.path.lexists(self.out / name):
            raise ConfigError(
                f"{self.out / name} was not made by a build, which would replace it",
                hint="-o names another directory; or move the file away",
            )
        self.names.append(name)
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        return path

    def drop(self, name: str) -> None:
        """Forget the file of that name, which was needed only on the way."""
        self.names.remove(name)
        (self.directory / name).unlink()

    def copy(self, source: Path, name: str) -> BuiltFile:
        """A copy of a file; the one that lies there from the build before, if it is the same."""
        to, old = self.reserve(name), self.out / name
        size, digest = _measured(source)  # first, for it needs the interpreter least
        with suppress(OSError):  # there is none, or it can have no second name
            if _same(source, old):
                to.hardlink_to(old)
        if not to.exists():
            shutil.copyfile(source, to)
        return BuiltFile(name=name, size=size, sha256=digest)

    def text(self, name: str, text: str) -> BuiltFile:
        self.reserve(name).write_text(text)
        return self.measure(name)

    def measure(self, name: str) -> BuiltFile:
        """What has been written under that name."""
        size, digest = _measured(self.directory / name)
        return BuiltFile(name=name, size=size, sha256=digest)

    def finish(self, build: Build) -> None:
        """Put the new build in the place of the old one.

        The old manifest goes first and the new one comes last, so that nothing between the two
        can pass for a whole build.
        """
        (self.directory / "manifest.json").write_text(manifest.dumps(build))
        old = _old(self.out)
        (self.out / "manifest.json").unlink(missing_ok=True)
        for name in (*self.names, "manifest.json"):
            (self.out / name).parent.mkdir(exist_ok=True)
            (self.directory / name).replace(self.out / name)
        for name in old.difference(self.names):
            (self.out / name).unlink(missing_ok=True)


def _measured(path: Path) -> tuple[int, str]:
    """Its size in bytes and its sha256."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:  # which can't be mapped
            return 0, hashlib.sha256().hexdigest()
        # In one go, which leaves the interpreter to the other thread.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return size, hashlib.sha256(content).hexdigest()


def _same(one: Path, other: Path) -> bool:
    """Whether two regular files hold the same bytes. Raises OSError if one can't be read."""
    sizes = [path.lstat() for path in (one, other)]
    if (
        not all(stat.S_ISREG(size.st_mode) for size in sizes)
        or sizes[0].st_size != sizes[1].st_size
    ):
        return False
    with one.open("rb", buffering=0) as first, other.open("rb", buffering=0) as second:
        while block := first.read(CHUNK):
            if block != second.read(CHUNK):
                return False
    return True


def _half_moved(out: Path) -> bool:
    """Whether a build was broken off while it moved its files: its manifest is still in .new."""
    return (out / NEW / "manifest.json").exists() and not (out / "manifest.json").exists()


def _old(out: Path) -> set[str]:
    """The files of the build that lies in ``out``."""
    try:
        return names(manifest.read(out))
    except ConfigError:
        return set()


def names(build: Build) -> set[str]:
    """Its files in out/ but for the manifest, the texts of licences too."""
    licences = (one.licence for one in build.artefacts if one.licence is not None)
    names = {*(file.name for file in build.files()), *licences}
    # A manifest that somebody else wrote may name any path at all.
    return {name for name in names if not name.startswith("/") and ".." not in Path(name).parts}


def _refused(error: OSError, out: Path) -> ConfigError:
    """What the system refused: another place for the build helps where it was asked for ``out``."""
    name = error.filename2 or error.filename  # of a copy, where it goes
    thing = Path(os.fsdecode(name)) if isinstance(name, str | bytes) else out
    ours = thing.is_relative_to(out) or out.is_relative_to(thing)
    return ConfigError(
        f"{thing}: {error.strerror or error}",
        hint="-o names a place with room that is yours" if ours else None,
    )


@contextmanager
def opened(out: Path) -> Iterator[Output]:
    """A directory in ``out`` to build in, gone when the block ends; one build at a time.

    Raises ConfigError if ``out`` can't be written, or has files of somebody else's in the way.
    """
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with store.locked(out):
            left = (out / NEW / "manifest.json").read_bytes() if _half_moved(out) else b""
            built = bool(left) or (out / "manifest.json").exists()
            shutil.rmtree(out / NEW, ignore_errors=True)  # of a build that was killed
            (out / NEW).mkdir()
            if left:  # what it moved is still there if this one is broken off too
                (out / NEW / "manifest.json").write_bytes(left)
            try:
                yield Output(out, out / NEW, strange=not built)
            finally:
                if not _half_moved(out):
                    shutil.rmtree(out / NEW, ignore_errors=True)
    except BrokenPipeError:  # of whoever reads what we say
        raise
    except OSError as error:
        raise _refused(error, out) from None
    finally:
        if made:
            with suppress(OSError):  # it holds a build
                out.rmdir()
