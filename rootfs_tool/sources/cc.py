"""C files of yours, compiled and linked into one static program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Field, Matching, field_validator
from rootfs_tool.sources import compiled
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.compiled import BoardPath, Libc
from rootfs_tool.tree import Tree

Flag = Annotated[str, Matching(r"-[^\0]+", "an option of the compiler, which begins with -")]

_RELATIVE = re.compile(r"-(I|L|iquote|isystem|idirafter|include)(?!/)")


class Cc(Source):
    """C files, compiled and linked into one static program.

    The compiler is Debian's cross-compiler, with -O2 -Wall before your own flags.
    """

    type: Literal["cc"] = "cc"

    files: tuple[Path, ...] = Field(min_length=1)
    """The C files. Headers beside them are found, and a change in one is noticed."""

    to: BoardPath
    """Where the program goes on the board."""

    libc: Libc = "glibc"
    """The C library in it: musl's is a tenth of the size, and looks up names by itself."""

    include: tuple[Path, ...] = ()
    """Directories with more headers."""

    flags: tuple[Flag, ...] = ()
    """More options of the compiler and the linker: "-std=c99", "-DLIMIT=3", "-lm"."""

    mode: int = 0o755
    """Its permission bits, best written in octal: 0o755."""

    strip: bool = True
    """Leave out symbols and debug information."""

    @field_validator("flags")
    @classmethod
    def _known(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        for flag in flags:
            if reason := compiled.misplaced(flag):
                raise ValueError(reason)
            if _RELATIVE.match(flag):
                raise ValueError(
                    f'{flag} is relative to nothing; include = ["directory"] adds headers'
                )
        return flags

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        """Compile it, if it is not in the cache: the network is asked for musl alone.

        Raises ConfigError, CommandError with what the compiler said, or MissingToolError.
        """
        from rootfs_tool.toolchain import program  # which a board without one does not need

        toolchain = compiled.toolchain(archive, self.libc)
        made = program.compile(
            self.files,
            toolchain=toolchain,
            include=self.include,
            flags=self.flags,
            strip=self.strip,
        )
        names = ", ".join(path.name for path in self.files)
        return compiled.artefacts(made, toolchain, {self.to: program.NAME}, of=names)

    def install(self, artefact: Artefact, tree: Tree) -> None:
        if artefact.name == self.to:
            compiled.install(artefact, tree, mode=self.mode)
