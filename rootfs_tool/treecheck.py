"""Does a tree hold all that its services, and the programs you put there, need to run?

Asked before an image is written. What comes from packages is taken on trust, but for what a service
runs: reading every program of a rootfs would take longer than building it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rootfs_tool import elfheaders, paths
from rootfs_tool.account import Account
from rootfs_tool.arch import Arch
from rootfs_tool.elfheaders import Elf
from rootfs_tool.errors import ConfigError
from rootfs_tool.service import Service
from rootfs_tool.tree import MAX_LINKS, Directory, File, Node, Symlink, Tree

# Where the dynamic linkers of glibc (as Debian builds it, without ld.so.cache) and musl look.
_LIBRARIES = (
    *("/lib/{0}-linux-gnu", "/usr/lib/{0}-linux-gnu", "/usr/lib/{0}-linux-musl"),
    *("/lib", "/usr/lib", "/usr/local/lib"),
)
_PATH = ("/usr/bin", "/usr/local/bin")
# The packages of Debian's that have what nearly every dynamic program wants.
_C = ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0", "libresolv.so.2")
PACKAGES = {
    **dict.fromkeys((*_C, "libdl.so.2", "librt.so.1"), "libc6"),
    "ld-musl-aarch64.so.1": "musl",
    "libcrypt.so.1": "libcrypt1",
    "libgcc_s.so.1": "libgcc-s1",
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """What is wrong with a program, and the library or interpreter that is not there, if any."""

    reason: str
    missing: str = ""


def check(
    tree: Tree, services: Sequence[Service], arch: Arch, accounts: Sequence[Account] = ()
) -> None:
    """Raises ConfigError with everything that would not run, each with its service or its file."""
    commands = {follow(tree, service.argv[0])[0] for service in services}
    found = [
        *(
            (f"service {service.name}: {lack.reason}", lack.missing)
            for service in services
            for lack in _of_service(tree, service, arch, accounts)
        ),
        *(
            (f"{node.content!s}: {lack.reason}", lack.missing)
            for path, node in tree.walk()
            if isinstance(node, File) and node.mode & 0o111 and _yours(node)
            if path not in commands
            for lack in _of_program(tree, path, node, arch)
        ),
    ]
    if found:
        lines = dict.fromkeys(line for line, _ in found)
        raise ConfigError("\n".join(lines), hint=_hint([one for _, one in found if one], arch))


def _yours(node: File) -> bool:
    return isinstance(node.content, Path) and not node.content.is_relative_to(paths.cache())


def _hint(missing: Sequence[str], arch: Arch) -> str | None:
    if not missing:
        return None
    known = list(dict.fromkeys(PACKAGES[one] for one in missing if one in PACKAGES))
    quoted = ", ".join(f'"{one}"' for one in known) or '"…", with the package that has it,'
    return f"packages = [{quoted}] brings it; or link statically: {arch.compiler} -static"


def _of_service(
    tree: Tree, service: Service, arch: Arch, accounts: Sequence[Account]
) -> Iterator[Lack]:
    command = service.argv[0]
    path, node = follow(tree, command)
    if node is None:
        yield Lack(f"{command} is not in the rootfs{_guess(tree, command)}")
    elif not isinstance(node, File):
        yield Lack(f"{command} is not a file")
    elif not node.mode & 0o111:
        yield Lack(
            f"{command} is not executable, its mode is {node.mode:#o}; a source says mode = 0o755, "
            "a file of an overlay needs chmod +x"
        )
    else:
        home = {account.name: account for account in accounts}.get(service.user or "")
        if service.user not in (None, "root"):
            yield from _closed(tree, path, command, service.user, home)
        own = tuple(service.environment.get("LD_LIBRARY_PATH", "").split(":"))
        for lack in _of_program(tree, path, node, arch, own, as_service=True):
            yield Lack(f"{command} {lack.reason}", lack.missing)
    directory = service.directory
    if not directory or (service.pidfile and _above(directory, service.pidfile)):
        return  # what a pidfile needs is made at every start
    if not isinstance(follow(tree, directory)[1], Directory):
        yield Lack(f"its directory {directory} is not in the rootfs")


def _above(directory: str, path: str) -> bool:
    return PurePosixPath(path).is_relative_to(directory)


def _closed(
    tree: Tree, path: PurePosixPath, command: str, user: str | None, account: Account | None
) -> Iterator[Lack]:
    """What a program, or a directory above it, does not let a user do."""
    for at in (*reversed(path.parents), path):
        node = tree.get(at)
        if isinstance(node, File | Directory) and not _may_execute(node, account):
            where = "its mode" if at == path else f"the mode of {at}"
            yield Lack(f"{command} is not for {user} to execute: {where} is {node.mode:#o}")
            return


def _may_execute(node: File | Directory, account: Account | None) -> bool:
    if account and node.uid == account.uid:
        return bool(node.mode & 0o100)
    if account and node.gid == account.gid:
        return bool(node.mode & 0o010)
    by_group = node.gid != 0 and bool(node.mode & 0o010)  # one that the user may be in
    return by_group or bool(node.mode & 0o001)


def follow(tree: Tree, path: str | PurePosixPath) -> tuple[PurePosixPath, Node | None]:
    """Where ``path`` ends after every symbolic link, and what stands there."""
    at = tree.resolve(path)
    for _ in range(MAX_LINKS):
        node = tree.get(at)
        if not isinstance(node, Symlink):
            return at, node
        at = tree.resolve(at.parent / node.to)
    return at, None


def _guess(tree: Tree, command: str) -> str:
    """The program that was meant: the same name elsewhere, or one nearly like it."""
    names: dict[str, PurePosixPath] = {}
    for path, node in tree.walk():
        _, end = follow(tree, path) if isinstance(node, Symlink) else (path, node)
        if isinstance(end, File) and end.mode & 0o111:
            names.setdefault(path.name, path)
    close = difflib.get_close_matches(command.rpartition("/")[2], names, 1)
    return f"; did you mean {names[close[0]]}?" if close else ""


def _of_program(
    tree: Tree,
    path: PurePosixPath,
    node: File,
    arch: Arch,
    own: Sequence[str] = (),
    *,
    as_service: bool = False,
) -> Iterator[Lack]:
    """What keeps a program from running; ``own`` are more directories of libraries.

    Of files that nothing runs, many are executable without being programs: a FAT has no modes.
    """
    start = elfheaders.start(node.content)
    if start.startswith(b"#!"):
        yield from _of_script(tree, start)
    elif start.startswith(elfheaders.MAGIC):
        yield from _of_elf(tree, path, node, arch, own)
    elif as_service:
        yield Lack("is neither an ELF program nor a script with #!")


def _of_script(tree: Tree, start: bytes) -> Iterator[Lack]:
    line = start.partition(b"\n")[0].decode(errors="replace")
    words = line[2:].split()
    if not words:
        yield Lack("has #! without an interpreter")
    elif line.endswith("\r"):
        yield Lack("has lines that end in CR LF: its interpreter is not found; dos2unix mends it")
    elif not isinstance(follow(tree, words[0])[1], File):
        yield Lack(f"wants {words[0]}, which is not in the rootfs", words[0].rpartition("/")[2])
    elif words[0].endswith("/env"):
        name = next((word for word in words[1:] if not word.startswith("-")), "env")
        if not any(isinstance(follow(tree, f"{at}/{name}")[1], File) for at in _PATH):
            yield Lack(f"wants {name}, which is not in the rootfs", name)


def _of_elf(
    tree: Tree, path: PurePosixPath, node: File, arch: Arch, own: Sequence[str]
) -> Iterator[Lack]:
    try:
        elf = elfheaders.read(node.content)
    except ValueError as error:
        yield Lack(str(error))
        return
    if elf.machine != arch:
        yield Lack(f"is built for {elf.machine}, the board is {arch}")
        return
    if elf.interpreter and not isinstance(follow(tree, elf.interpreter)[1], File):
        name = elf.interpreter.rpartition("/")[2]
        yield Lack(f"is linked dynamically and wants {elf.interpreter}, not in the rootfs", name)
    seen: set[str] = set()
    todo = [(path, elf)] if elf.interpreter else []
    while todo:
        at, one = todo.pop()
        places = [place.replace("$ORIGIN", str(at.parent)) for place in one.runpath]
        places += [*own, *(place.format(arch) for place in _LIBRARIES)]
        for name in one.needed:
            if name in seen:
                continue
            seen.add(name)
            there = _library(tree, name, [place for place in places if place.startswith("/")])
            if there is None:
                by = "" if at == path else f" for {at.name}"
                yield Lack(f"wants {name}{by}, which is not in the rootfs", name)
            else:
                todo.append(there)


def _library(tree: Tree, name: str, places: Sequence[str]) -> tuple[PurePosixPath, Elf] | None:
    """Where the dynamic linker finds a library, and its headers; None if nowhere."""
    for place in [""] if "/" in name else places:
        path, node = follow(tree, f"{place}/{name}" if place else name)
        if isinstance(node, File):
            with suppress(ValueError):  # it goes on looking
                return path, elfheaders.read(node.content)
    return None
