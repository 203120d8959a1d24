"""A project's own Makefile, run on a private copy of it with the cross-compiler as its CC."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rootfs_tool import events, proc
from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.toolchain import inputs, made, said
from rootfs_tool.toolchain.compiler import ENVIRONMENT, Toolchain, stamp
from rootfs_tool.toolchain.made import Made

MAKEFILES = ("GNUmakefile", "makefile", "Makefile")  # what make looks for
PATIENCE = 1800  # seconds for make
OLDEST = 86_400  # a time before every other, in seconds; what is 0 make takes for missing
LEFT_OUT = (".git", ".hg", ".svn")

_MISSING = re.compile(r"No such file or directory|No rule to make target")


def make(
    directory: Path,
    *,
    toolchain: Toolchain,
    programs: Sequence[str],
    target: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    strip: bool = True,
) -> Made:
    """Make a project's ``programs``, or take what came of the very same directory before.

    Notes what the compiler warned of. Raises ConfigError about the project, CommandError with what
    make said, or MissingToolError.
    """
    if not directory.is_dir():
        raise ConfigError(f"there is no directory {directory}", hint="is the path right?")
    if not any((directory / name).is_file() for name in MAKEFILES):
        raise ConfigError(f"{directory} has no Makefile", hint='type = "cc" compiles C files alone')
    words = [*(f"{name}={value}" for name, value in sorted((variables or {}).items())), *target]
    content = _digest(directory)
    tools = [toolchain.identity(), stamp(proc.which("make"))]
    digest = inputs.key(tools, content, words, sorted(programs), strip)
    found = made.find(digest)
    if found is None:
        with (
            events.step(f"make {directory.name or directory.resolve().name}"),
            tempfile.TemporaryDirectory() as scratch,
        ):
            project = _Project(directory, Path(scratch), toolchain)
            project.copy(content)
            text = project.run(words, strip=strip)
            files = {name: project.program(name) for name in programs}
            found = made.keep(digest, files, toolchain=toolchain, notes=said.notes(text))
    for note in found.report.notes:
        events.note(note)
    return found


class _Project:
    """A private copy of a directory, and make in it."""

    def __init__(self, directory: Path, scratch: Path, toolchain: Toolchain) -> None:
        self._directory, self._toolchain = directory, toolchain
        self._copy, self._tools = scratch / "copy", scratch / "tools"

    def copy(self, content: str) -> None:
        """Copy the directory. Raises ConfigError if its ``content`` is another now."""
        self._copy.mkdir()
        for name, mode in _walk(self._directory):
            source, to = self._directory / name, self._copy / name
            if stat.S_ISDIR(mode):
                to.mkdir()
            elif stat.S_ISLNK(mode):
                to.symlink_to(source.readlink())
            else:
                shutil.copy2(source, to)
                if _is_compiled(to):  # for another machine, maybe: make shall make it again
                    os.utime(to, (OLDEST, OLDEST))
        if _digest(self._copy) != content:
            raise ConfigError(f"{self._directory} changed while it was copied", hint="do it again")

    def run(self, words: Sequence[str], *, strip: bool) -> str:
        """Run make; returns what the compiler warned of."""
        self._write_compiler(strip)
        prefix = self._toolchain.prefix
        tools = {"CC": "gcc", "AR": "ar", "RANLIB": "ranlib", "STRIP": "strip"}
        argv = [
            proc.which("make"),
            "--no-print-directory",
            f"CROSS_COMPILE={prefix}",
            *(f"{variable}={prefix}{tool}" for variable, tool in tools.items()),
            *words,
        ]
        path = os.pathsep.join((str(self._tools), proc.environment()["PATH"]))
        out, err = (self._tools / name for name in ("out", "err"))
        with (
            out.open("wb") as stdout,
            err.open("wb") as stderr,
            proc.running(
                *argv,
                stdout=stdout,
                stderr=stderr,
                cwd=self._copy,
                env={**ENVIRONMENT, "PATH": path, "TMPDIR": str(self._tools)},
            ) as child,
        ):
            try:
                status = child.wait(PATIENCE)
            except proc.TimeoutExpired:
                raise CommandError(
                    f"make in {self._directory} did not end within {PATIENCE} s",
                    argv=argv,
                    output="",
                    hint="does it wait for an answer?",
                ) from None
        if status:
            raise self._failed(argv, self._plain(out) + "\n" + self._plain(err))
        return self._plain(err)

    def program(self, name: str) -> Path:
        """What make made. Raises ConfigError if it is not there, or not for the board."""
        from rootfs_tool import elf  # what a warm build can do without

        path = self._copy / name
        if not path.is_file():
            made = [one.relative_to(self._copy) for one in self._copy.rglob("*") if _runs(one)]
            guess = did_you_mean(name, map(str, made))
            raise ConfigError(
                f"make in {self._directory} made no {name}{guess}",
                hint='target = ["…"] says what to make',
            )
        try:
            elf.check(path, self._toolchain.arch)
        except ConfigError as error:
            raise ConfigError(
                f"make in {self._directory}: {str(error).replace(f'{self._copy}/', '')}",
                hint="its Makefile must compile and link with $(CC)",
            ) from None
        return path

    def _write_compiler(self, strip: bool) -> None:
        """Put a compiler first on the PATH that links statically, whatever the Makefile says."""
        self._tools.mkdir()
        argv = self._toolchain.argv(self._tools, renamed={str(self._copy): "."})
        own = shlex.join([*argv, *(["-s"] if strip else [])])
        for name in ("gcc", "cc"):
            script = self._tools / f"{self._toolchain.prefix}{name}"
            script.write_text(f'#!/bin/sh\nexec {own} "$@"\n')
            script.chmod(0o755)

    def _failed(self, argv: list[str], text: str) -> CommandError:
        what = f"make in {self._directory} failed"
        outside = "../" in text and _MISSING.search(text)
        hint = (
            "make runs in a copy of that directory alone, where ../ has nothing: name the one "
            "above, with a Makefile that goes below"
        )
        return said.failed(what, argv, text.strip(), last=True, hint=hint if outside else None)

    def _plain(self, log: Path) -> str:
        ours = (self._copy, self._tools)
        return said.plain(log.read_text(errors="replace"), {f"{one}/": "" for one in ours})


def _walk(directory: Path) -> Iterator[tuple[str, int]]:
    """What a build of the directory may depend on: names below it and st_mode, parents first.

    Histories are left out, and what this program has built there.
    """
    for at, names, files in os.walk(directory, onerror=_unreadable):
        here = Path(at)
        names[:] = sorted(name for name in names if not _is_left_out(here / name))
        for name in sorted((*names, *files)):
            mode = (here / name).lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
                yield str((here / name).relative_to(directory)), mode


def _is_left_out(path: Path) -> bool:
    return path.name in LEFT_OUT or all(
        (path / name).is_file() for name in ("manifest.json", "recipe.json")
    )


def _digest(directory: Path) -> str:
    """Of names, of what may be executed, and of all bytes. Raises ConfigError."""
    found = hashlib.sha256()
    for name, mode in _walk(directory):
        path = directory / name
        try:
            if stat.S_ISLNK(mode):
                what = str(path.readlink())
            elif stat.S_ISDIR(mode):
                what = ""
            else:
                with path.open("rb") as file:
                    what = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        row = f"{name}\0{stat.S_IFMT(mode)} {mode & 0o100} {what}\0"
        found.update(row.encode(errors="surrogateescape"))
    return found.hexdigest()


def _is_compiled(path: Path) -> bool:
    """Whether it is an object, a program or a library of some machine's."""
    with path.open("rb") as file:
        return file.read(8).startswith((b"\x7fELF", b"!<arch>\n"))


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _unreadable(error: OSError) -> None:
    raise ConfigError(f"{error.filename}: {error.strerror}") from None
