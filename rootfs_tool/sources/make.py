"""A project of yours with a Makefile, built for the board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Field, Matching
from rootfs_tool.sources import compiled
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.compiled import BoardPath, Libc
from rootfs_tool.tree import Tree

Below = Annotated[
    str,
    Matching(r"(?!(.*/)?\.\.(/|$))[^/\0].*", 'a path below the directory, such as "aesdsocket"'),
]
Target = Annotated[str, Matching(r"[^-=\0][^=\0]*", "a target of the Makefile")]
Variable = Annotated[str, Matching(r"[A-Za-z_][A-Za-z0-9_.-]*", "a variable of the Makefile")]


class Make(Source):
    """What a project's own Makefile builds, as static programs for the board.

    make runs in a copy of the directory, with CC, CROSS_COMPILE, AR, RANLIB and STRIP set; the
    compiler that these name links statically whatever the Makefile says. `.git` is not copied.
    """

    type: Literal["make"] = "make"

    directory: Path
    """The project: the directory that has the Makefile."""

    programs: dict[Below, BoardPath] = Field(min_length=1)
    """What make builds, and where it goes: { "aesdsocket" = "/usr/bin/aesdsocket" }."""

    target: tuple[Target, ...] = ()
    """What to make, if not the Makefile's first target."""

    variables: dict[Variable, str] = Field(default_factory=dict)
    """Variables for make's command line: { DEBUG = "0" }."""

    libc: Libc = "glibc"
    """The C library in it: musl's is a tenth of the size, and looks up names by itself."""

    mode: int = 0o755
    """Their permission bits, best written in octal: 0o755."""

    strip: bool = True
    """Leave out symbols and debug information."""

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        """Run make, if the directory has changed since: the network is asked for musl alone.

        Raises ConfigError, CommandError with what make said, or MissingToolError.
        """
        from rootfs_tool.toolchain import project  # which a board without one does not need

        toolchain = compiled.toolchain(archive, self.libc)
        made = project.make(
            self.directory,
            toolchain=toolchain,
            programs=tuple(self.programs),
            target=self.target,
            variables=self.variables,
            strip=self.strip,
        )
        names = {to: name for name, to in self.programs.items()}
        return compiled.artefacts(made, toolchain, names, of=f"{self.directory.name}/")

    def install(self, artefact: Artefact, tree: Tree) -> None:
        if artefact.name in self.programs.values():
            compiled.install(artefact, tree, mode=self.mode)
