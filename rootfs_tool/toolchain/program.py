"""C files become one static program."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rootfs_tool import events, proc
from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.toolchain import inputs, made, said
from rootfs_tool.toolchain.compiler import ENVIRONMENT, Toolchain
from rootfs_tool.toolchain.made import Made

NAME = "program"  # what it is called in the cache


def compile(
    files: Sequence[Path],
    *,
    toolchain: Toolchain,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
    strip: bool = True,
) -> Made:
    """Compile C files and link them, or take what came of the very same before.

    Notes what the compiler warned of. Raises ConfigError about a file, CommandError with what the
    compiler said, or MissingToolError.
    """
    for path in files:
        _check(path)
    for directory in include:
        if not directory.is_dir():
            raise ConfigError(f"there is no directory {directory}")
    said_so = [*(f"-I{directory}" for directory in include), *flags, *(["-s"] if strip else [])]
    headers = [_headers(one) for one in {*include, *(path.parent for path in files)}]
    key = inputs.key(toolchain.identity(), Path.cwd(), files, said_so, sorted(headers))
    digest = inputs.recalled(key)
    found = made.find(digest) if digest else None
    if found is None:
        names = ", ".join(path.name for path in files)
        with events.step(f"compile {names}"), tempfile.TemporaryDirectory() as scratch:
            found = _Compilation(files, toolchain, said_so, Path(scratch), include).run(key)
    for note in found.report.notes:
        events.note(note)
    return found


class _Compilation:
    """One program, on its way from C files to the cache."""

    def __init__(
        self,
        files: Sequence[Path],
        toolchain: Toolchain,
        options: Sequence[str],
        scratch: Path,
        include: Sequence[Path],
    ) -> None:
        self._toolchain, self._scratch = toolchain, scratch
        self._argv = [*toolchain.argv(scratch, renamed=_renamed(files, include)), "-Wall"]
        self._options = options
        self._objects = {scratch / f"{index}.o": path for index, path in enumerate(files)}
        self._program = scratch / NAME

    def run(self, key: str) -> Made:
        since = time.time_ns()
        warnings = self._run_all([self._compiling(*one) for one in self._objects.items()])
        rule = self._scratch / "link.d"
        link = [*self._argv, *map(str, self._objects), *self._options, "-o", str(self._program)]
        warnings += self._run_all([[*link, f"-Wl,--dependency-file={rule}"]])
        self._check_program()
        digest = inputs.remember(key, self._read(rule), since=since)
        programs = {NAME: self._program}
        text = said.plain(warnings, self._known_as)
        return made.keep(digest, programs, toolchain=self._toolchain, notes=said.notes(text))

    def _compiling(self, object: Path, path: Path) -> list[str]:
        name = f"./{path}" if str(path).startswith("-") else str(path)
        depends = ["-MD", "-MF", f"{object}.d"]
        return [*self._argv, *self._options, *depends, "-c", name, "-o", str(object)]

    def _run_all(self, commands: Sequence[list[str]]) -> str:
        """Run them, as many at once as this host has processors; returns what they said."""
        at_once = os.cpu_count() or 1
        said_so = ""
        for start in range(0, len(commands), at_once):
            with ExitStack() as stack:
                running = [
                    (argv, stack.enter_context(_started(argv, self._scratch)))
                    for argv in commands[start : start + at_once]
                ]
                for argv, end in running:
                    status, text = end()
                    if status:
                        raise self._failed(argv, said.plain(text, self._known_as))
                    said_so += text
        return said_so

    def _check_program(self) -> None:
        from rootfs_tool import elf  # what a warm build can do without

        try:
            elf.check(self._program, self._toolchain.arch)
        except ConfigError as error:
            reason = str(error).replace(str(self._program), "what was compiled")
            raise ConfigError(reason, hint="one of the flags does that") from None

    def _failed(self, argv: list[str], text: str) -> CommandError:
        files = ", ".join(str(path) for path in self._objects.values() if str(path) in argv)
        what = f"{files} does not compile" if files else "the program can't be linked"
        return said.failed(what, argv, text, hint=_hint(text, self._toolchain), last=False)

    def _read(self, rule: Path) -> set[str]:
        """Everything that the compiler and the linker have read."""
        found = {
            name
            for object in self._objects
            for name in inputs.of_compiler(Path(f"{object}.d").read_text())
        }
        found.update(inputs.of_linker(rule.read_text()))
        kernel = f"{self._scratch}/kernel/"
        theirs = {name.replace(kernel, f"{self._toolchain.directory}/include/") for name in found}
        return {name for name in theirs if not name.startswith(f"{self._scratch}/")}

    @property
    def _known_as(self) -> Mapping[str, str]:
        objects = {str(object): str(path) for object, path in self._objects.items()}
        return {**objects, f"{self._scratch}/": ""}


@contextmanager
def _started(argv: Sequence[str], scratch: Path) -> Iterator[Callable[[], tuple[int, str]]]:
    """A compiler that runs while the block does; what is yielded waits for its status and words.

    What it writes for itself goes with ``scratch``, also when it is killed.
    """
    env = {**ENVIRONMENT, "TMPDIR": str(scratch)}
    with (
        tempfile.TemporaryFile() as log,
        proc.running(*argv, stdout=log, stderr=log, env=env) as child,
    ):

        def end() -> tuple[int, str]:
            status = child.wait()
            log.seek(0)
            return status, log.read().decode(errors="replace")

        yield end


def _check(path: Path) -> None:
    """Raises ConfigError unless it is a C file that can be read."""
    if path.suffix != ".c":
        what = "is a C++ file" if path.suffix in (".cc", ".cpp", ".cxx", ".C") else "is no C file"
        raise ConfigError(f"{path} {what}", hint="the name of a C file ends in .c")
    if path.is_dir():
        raise ConfigError(f"{path} is a directory", hint="name the C files in it")
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        names = [one.name for one in path.parent.glob("*.c")]
        guess = did_you_mean(path.name, names)
        raise ConfigError(f"there is no file {path}{guess}", hint="is the path right?") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _headers(directory: Path) -> str:
    """The headers in a directory, by name: a new one may come before another of its name."""
    with suppress(OSError):  # the compiler says it
        names = sorted(one.name for one in directory.iterdir() if one.suffix == ".h")
        return f"{directory}: {' '.join(names)}"
    return str(directory)


def _renamed(files: Sequence[Path], include: Sequence[Path]) -> dict[str, str]:
    """What a program calls the directories that it was made from: nothing but what is below them.

    Of two that match, the compiler takes the last.
    """
    directories = [path.parent for path in files]
    found = {str(Path.cwd()): "."}
    if "/" in found:
        found["/usr/"] = "/usr/"  # where the compiler's own headers are
    for some in ([*directories, *include], directories):
        with suppress(ValueError):  # some are relative, some are not
            common = os.path.commonpath(some)
            if common not in ("", "/"):
                found |= {common: ".", f"{common}/": ""}
    return found


def _hint(text: str, toolchain: Toolchain) -> str | None:
    if toolchain.musl is None and not toolchain.glibc.exists():
        return f"no {toolchain.glibc}: apt install libc6-dev-{toolchain.arch.debian}-cross"
    if re.search(r"fatal error: .*: No such file or directory", text):
        return 'where the header is: -IDIRECTORY (in a recipe include = ["DIRECTORY"])'
    if "undefined reference to" in text:
        return "another C file has it, or a library: -lm"
    return None
