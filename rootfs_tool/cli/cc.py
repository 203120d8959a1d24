"""``rootfs-tool cc``."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from shlex import quote

import click

from rootfs_tool import store
from rootfs_tool.cli.progress import progress
from rootfs_tool.cli.subject import is_build
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import find
from rootfs_tool.sources import compiled
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.compiled import Libc
from rootfs_tool.toolchain import program

BOARD = "qemu-aarch64"


@click.command("cc")
@click.option(
    "-o",
    "--out",
    "to",
    type=click.Path(path_type=Path),
    required=True,
    help="The program to make.",
)
@click.option(
    "--libc",
    type=click.Choice(["glibc", "musl"]),
    default="glibc",
    show_default=True,
    help="The C library in it; musl's programs are small and look up names by themselves.",
)
@click.option(
    "--board",
    metavar="WHAT",
    default=BOARD,
    show_default=True,
    help="The board or recipe it is for: whose CPU, and whose lock pins musl.",
)
@click.option("--debug-info", is_flag=True, help="Keep symbols; -g after -- gives lines too.")
@click.argument("words", metavar="FILE.c... [-- FLAGS...]", nargs=-1, required=True)
def command(to: Path, libc: Libc, board: str, debug_info: bool, words: tuple[str, ...]) -> None:
    """Compile C files into one static program for the board.

    What begins with - after -- goes to the compiler: -- -std=c99 -Iinclude -lm. Ahead of it stand
    -O2 and -Wall. The same files give the same bytes on every day, in every directory.
    """
    files = tuple(Path(word) for word in words if not word.startswith("-"))
    flags = tuple(word for word in words if word.startswith("-"))
    _check(files, flags, to)
    if is_build(board):
        raise ConfigError(f"{board} is a build", hint="name its board or its recipe.toml")
    recipe, file = find(board)
    where = Archive(
        suite=recipe.board.suite, arch=recipe.board.arch, lock=file.with_suffix(".lock")
    )
    with progress(), store.used(), where as archive:
        toolchain = compiled.toolchain(archive, libc)
        archive.save_lock()
        made = program.compile(files, toolchain=toolchain, flags=flags, strip=not debug_info)
    _write(made.path(program.NAME), to)
    click.echo(f"{made.report.sha256[program.NAME]}  {to}")


def _check(files: tuple[Path, ...], flags: tuple[str, ...], to: Path) -> None:
    """Raises ConfigError on words that can't be meant."""
    if not files:
        raise ConfigError("there is no C file to compile", hint="rootfs-tool cc FILE.c -o FILE")
    for flag in flags:
        if reason := compiled.misplaced(flag):
            raise ConfigError(reason, hint="-o and --libc stand ahead of --")
    if to.is_dir():
        raise ConfigError(f"{to} is a directory", hint=f"-o {quote(str(to / files[0].stem))}")
    if to.exists() and any(file.exists() and file.samefile(to) for file in files):
        raise ConfigError(f"{to} is one of the C files", hint=f"-o {quote(files[0].stem)}")
    if not to.parent.is_dir():
        raise ConfigError(
            f"there is no directory {to.parent}", hint=f"mkdir -p {quote(str(to.parent))}"
        )


def _write(program: Path, to: Path) -> None:
    """A copy of the program, whole or not there. Raises ConfigError where that is not possible."""
    new = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        shutil.copyfile(program, new)
        new.chmod(0o777 & ~_umask())
        new.replace(to)
    except OSError as error:
        raise ConfigError(f"{to}: {error.strerror}", hint="-o names another place") from None
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
