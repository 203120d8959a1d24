"""Rules of exec(2): why a program that is there does not start."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from rootfs_tool import elfheaders
from rootfs_tool.diagnosis.base import Diagnosis, Evidence
from rootfs_tool.diagnosis.board import BoardFile

_INTERPRETER = re.compile(rb"/[\w/.+-]*ld[\w.+-]*\.so[\w.]*")
_COMPILERS = {"aarch64": "aarch64-linux-gnu-gcc", "x86_64": "x86_64-linux-gnu-gcc"}
_NAMES = {"aarch64": "aarch64", "x86_64": "x86-64", "armv7l": "32-bit ARM", "i686": "i386"}


def _machine(e: Evidence) -> str:
    return e.board.kernel.split(" ")[-1]


def _static(e: Evidence, file: BoardFile) -> str:
    name = _name(file)
    compiler = _COMPILERS.get(_machine(e), f"{_machine(e)}-linux-gnu-gcc")
    return f"on this host: {compiler} -static -o {name} {name.removesuffix('.out')}.c"


def interpreter(e: Evidence) -> Iterator[Diagnosis]:
    """It says "not found" of a file that is there: what is not there is what starts it."""
    yield from _env(e)
    # By `..` one file has several paths.
    for file in {normpath(one.path): one for one in reversed(e.board.files)}.values():
        said = tuple(
            line
            for line in e.said.splitlines()
            if _ABSENT.search(line) and _named(line, file, _NOT_FOUND)
        )
        if not said:
            continue
        if (there := _not_here(e, file)) is not None:
            yield there
            return
        if file.head.startswith(b"#!"):
            yield from _script(file, said)
        elif (wants := _wanted(file)) and wants not in e.board.libraries:
            yield Diagnosis(
                rule="dynamic",
                cause=f"{file.path} is there, but linked dynamically: its interpreter "
                f"{wants} is not on the board, and that is what is not found",
                mend=f"{_static(e, file)}; or the libraries into the rootfs: [[source]] "
                'type = "cc" brings those it needs',
                evidence=(*said, f"{file.path}: ELF, interpreter {wants}"),
            )


# A shell's words, and those of who runs another program: whoever would read a file has others.
_ABSENT = re.compile(
    r": not found$|\b(?:execute|run command|exec\w*)\b.*: No such file"
    r"|^-?\w*sh: (?:line \d+: )?[\w./+-]+: No such file"
)
_NOT_FOUND = r"\W?: (?:not found$|No such file)"
# What goes to another directory first.
_MOVED = re.compile(r"\b(?:cd|pushd|chroot|start-stop-daemon)\s|\bsu\s+(?:-\s|-l|--login)")


def _not_here(e: Evidence, file: BoardFile) -> Diagnosis | None:
    """Whether ``./name`` was asked for in another directory than the one that has it."""
    here, name = e.board.directory, _name(file)
    asked = re.compile(rf"(?<![\w./-])\./{re.escape(name)}(?![\w./+-])")
    said = tuple(
        line for line in e.said.splitlines() if _ABSENT.search(line) and asked.search(line)
    )
    if not here or not said or not asked.search(e.subject.command):
        return None
    if _MOVED.search(e.subject.command):
        return None
    places = [one.path.rpartition("/")[0] or "/" for one in e.board.files if _name(one) == name]
    if here in places:
        return None
    return Diagnosis(
        rule="other-directory",
        cause=f"there is no ./{name} in {here}, where it was asked for: it is {file.path}",
        mend=f"on the board: {file.path}; or first: cd {places[0]}",
        evidence=said,
    )


def _env(e: Evidence) -> Iterator[Diagnosis]:
    """A script's first line that has its interpreter looked for by env(1)."""
    for line, name in _ENV.findall(e.said):
        if name in re.findall(r"[\w.+-]+", e.subject.command):  # the person's env, not a script's
            continue
        yield Diagnosis(
            rule="no-interpreter",
            cause=f"the script is for {name}, which the board does not have",
            mend=f'packages = ["{name}"] in the recipe, if that is its package, and build again; '
            "or write it for BusyBox",
            evidence=(line,),
        )


_ENV = re.compile(r"^(env: (?:can't execute )?\W?([\w.+-]+)\W?: No such file.*)$", re.MULTILINE)


def _wanted(file: BoardFile) -> str | None:
    """The interpreter that an ELF file names (PT_INTERP, elf(5)); it is near the beginning."""
    found = _INTERPRETER.search(file.head) if file.head.startswith(elfheaders.MAGIC) else None
    return found[0].decode() if found else None


_LIBRARY = re.compile(
    r"error while loading shared libraries: (\S+): cannot open shared object file: No such file"
    r"|Error loading shared library (\S+): No such file"
)


def library(e: Evidence) -> Iterator[Diagnosis]:
    """The interpreter is there and finds a library not: ld.so(8) says so, and musl's."""
    if found := _LIBRARY.search(e.said):
        name = found[1] or found[2]
        yield Diagnosis(
            rule="no-library",
            cause=f"the program is linked dynamically and the board does not have {name}",
            mend="link it with -static; or the library into the rootfs, below /usr/lib",
            evidence=e.lines(found[0]),
        )


def _script(file: BoardFile, said: tuple[str, ...]) -> Iterator[Diagnosis]:
    first = file.head.split(b"\n", 1)[0].decode(errors="replace")
    name = file.path
    if first.endswith("\r"):
        yield Diagnosis(
            rule="carriage-return",
            cause=f"{name} has lines that end as on Windows: the board looks for an interpreter "
            f"called {first[2:].strip()} and a carriage return",
            mend=f"on the board: dos2unix {name}",
            evidence=(*said, f"{name}: {first!r}"),
        )
        return
    words = first[2:].split() or ["?"]
    wants = words[0].rpartition("/")[2]
    if words[0] == "/bin/sh":  # it is there: it speaks to us
        return
    yield Diagnosis(
        rule="no-interpreter",
        cause=f"{name} is a script for {words[0]}, which the board does not have",
        mend=f"write it for BusyBox, and on the board: sed -i '1s|.*|#!/bin/sh|' {name}"
        if wants in ("bash", "dash", "ksh", "ash", "sh")
        else f'packages = ["{wants}"] in the recipe, if that is its package, and build again',
        evidence=(*said, f"{name}: {first}"),
    )


def other_machine(e: Evidence) -> Iterator[Diagnosis]:
    """ENOEXEC, or what a shell makes of it: it takes the program for a script."""
    for file in e.board.files:
        said = tuple(
            line
            for line in (*e.errors(errno.ENOEXEC), *e.lines("syntax error", "not found", "ELF"))
            if _named(line, file)
        )
        if not said or not file.head.startswith(elfheaders.MAGIC) or len(file.head) < 20:
            continue
        number = int.from_bytes(file.head[18:20], "little" if file.head[5] == 1 else "big")
        wide = {1: "32-bit", 2: "64-bit"}.get(file.head[4], "")
        built_for = elfheaders.MACHINES.get(number, f"machine {number} of elf.h")
        if built_for != _NAMES.get(_machine(e), _machine(e)):
            yield Diagnosis(
                rule="other-machine",
                cause=f"{file.path} is built for {built_for}, the board is {_machine(e)}",
                mend=_static(e, file),
                evidence=(*dict.fromkeys(said), f"{file.path}: {wide} ELF for {built_for}"),
            )


def not_allowed(e: Evidence) -> Iterator[Diagnosis]:
    """EACCES of exec: the mode, or a filesystem on which nothing may be run."""
    for file in e.board.files:
        said = tuple(
            line for line in e.errors(errno.EACCES) if _named(line, file) and _of_exec(line)
        )
        mount = e.board.mount(file.path)
        if not said:
            continue
        some = file.mode & 0o111
        noexec = mount is not None and "noexec" in mount.options
        if not some or (file.mode & 0o111 != 0o111 and not noexec):
            whose = f", and it belongs to the user {file.uid}" if some else ""
            yield Diagnosis(
                rule="mode",
                cause=f"{file.path} may not be executed{' by everybody' if some else ''}: its mode "
                f"is {file.mode:04o}{whose}",
                mend=f"on the board: chmod 755 {file.path}",
                evidence=(*said, f"{stat.filemode(file.mode | stat.S_IFREG)} {file.path}"),
            )
        elif mount is not None and "noexec" in mount.options:
            yield Diagnosis(
                rule="noexec",
                cause=f"{mount.path} is mounted noexec: nothing on it may be executed",
                mend=f"on the board: mount -o remount,exec {mount.path}",
                evidence=(*said, str(mount)),
            )


# A shell names itself, or its script, and then what it may not start; who may not read or write a
# file says otherwise.
_EXEC = re.compile(
    r"^(?:-?\w*sh: (?:line \d+: )?|\S+: line \d+: )[\w./+-]+: Permission denied$"
    r"|can't execute|(?<![\w./+-])exec(?:v\w*|l\w*)?(?![\w./+-])"
)


def _of_exec(line: str) -> bool:
    return _EXEC.search(line) is not None


def busy(e: Evidence) -> Iterator[Diagnosis]:
    """ETXTBSY: a program that runs can't be written over."""
    for file in e.board.files:
        said = tuple(line for line in e.errors(errno.ETXTBSY) if _named(line, file))
        if said:
            pids = " ".join(map(str, file.run_by))
            yield Diagnosis(
                rule="text-busy",
                cause=f"{file.path} runs"
                + (f" as process {pids}" if pids else " or is being written")
                + ": a file can't be both run and written",
                mend=f"on the board: kill {pids or 'PID'}; or write to another name and mv it over",
                evidence=(*said, *(f"/proc/{pid}/exe -> {file.path}" for pid in file.run_by)),
            )


def _named(line: str, file: BoardFile, behind: str = "") -> bool:
    """Whether a line speaks of that file, and has ``behind`` then; a relative path may be it."""
    name = re.escape(_name(file))
    spoken = re.findall(rf"(?<![\w.+/-])([\w./+-]*/)?{name}(?![\w/+-]|\.\w){behind}", line)
    whole = PurePosixPath(file.path)
    return any(not one.startswith("/") or PurePosixPath(one) == whole.parent for one in spoken)


def _name(file: BoardFile) -> str:
    return file.path.rpartition("/")[2]
