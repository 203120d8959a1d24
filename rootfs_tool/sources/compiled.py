"""What the sources that compile have in common: the toolchain, and what comes out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Matching
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import File, Tree

if TYPE_CHECKING:
    from rootfs_tool.toolchain.compiler import Toolchain
    from rootfs_tool.toolchain.made import Made

BoardPath = Annotated[str, Matching(r"/([^\0]*[^/\0])", "an absolute path on the board")]
Libc = Literal["glibc", "musl"]

# What would make something else than one program, or put it or its parts elsewhere.
_OURS = re.compile(r"-(o.*|[cSErv]|M.*|-output.*|shared|-?specs.*|save-temps.*|dump.*)")

MUSL = "musl-dev"  # Debian's package: headers, libc.a and the files that a program starts with


def toolchain(archive: Archive, libc: Libc) -> Toolchain:
    """Debian's cross-compiler, with its own C library or with musl. Raises what fetching raises."""
    from rootfs_tool.toolchain.compiler import Toolchain

    musl = archive.fetch(MUSL) if libc == "musl" else None
    return Toolchain(arch=archive.arch, musl=musl)


def pinned(archive: Archive) -> tuple[Artefact, ...]:
    """What a lock pins for the verb `cc`, which no recipe asks for. Raises FetchError."""
    return (archive.fetch(MUSL),) if MUSL in archive.before.pins else ()


def artefacts(
    made: Made, toolchain: Toolchain, names: Mapping[str, str], *, of: str
) -> tuple[Artefact, ...]:
    """The programs, each called by its path on the board, and the C library that is in them.

    ``names`` has, by that path, what the program is called in ``made``.
    """
    libc = toolchain.musl or made.glibc(toolchain)
    programs = (
        Artefact(
            name=to,
            version=made.report.version,
            sha256=made.report.sha256[name],
            origin=f"compiled from {of} by {toolchain.arch.compiler}, "
            f"with {libc.name} {libc.version}",
            path=made.path(name),
        )
        for to, name in names.items()
    )
    return (*programs, libc)


def misplaced(flag: str) -> str | None:
    """Why the compiler may not be given that option; None if it may."""
    return f"{flag} is no flag here: one static program is made" if _OURS.fullmatch(flag) else None


def install(artefact: Artefact, tree: Tree, *, mode: int) -> None:
    """Put a program where its name says."""
    origin = f"the program {PurePosixPath(artefact.name).name}, {artefact.origin}"
    tree.add(artefact.name, File(content=artefact.path, mode=mode), origin=origin)
