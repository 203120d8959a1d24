"""Programs of Debian's packages, each with just the libraries that it loads."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import FetchError
from rootfs_tool.sources.deb import BUSYBOX
from rootfs_tool.tree import MAX_LINKS, File, Node, Symlink, Tree

_PLACE = re.compile(r"(/usr)?/(s?bin|lib(/[a-z0-9_]+-linux-gnu)?)")
LOADER = "ld-linux"


def install(
    programs: Sequence[str], artefacts: Sequence[Artefact], tree: Tree, *, purpose: str
) -> None:
    """Put the ``programs``, by name, and the libraries that they load into ``tree``.

    What is there already, as the whole package is, stays. ``purpose`` says who needs them, as in
    "which a card needs to grow". Raises FetchError if the packages lack one.
    """
    from rootfs_tool import elf  # not free to import, and few builds come here

    todo = list(programs)
    done: set[str] = set()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        found = _find(name, artefacts)
        if found is None:
            packages = ", ".join(artefact.name for artefact in artefacts)
            raise FetchError(f"none of {packages} has {name}, {purpose}")
        path, content, package = found
        origin = f"package {package}"
        _put(path, File(content=content, mode=0o755), content, tree, origin)
        if name.startswith(LOADER):  # every program names it by this path, PT_INTERP of elf(5)
            _put(f"/usr/lib/{name}", Symlink(path), content, tree, origin)
        todo += elf.needed(content)


def _put(path: str, node: Node, content: Path, tree: Tree, origin: str) -> None:
    """Add ``node``, unless what stands at ``path`` leads to the same ``content``."""
    at, there = PurePosixPath(path), tree.get(path)
    ours = there == BUSYBOX
    for _ in range(MAX_LINKS):
        if not isinstance(there, Symlink):
            break
        at = tree.resolve(at).parent / there.to
        there = tree.get(at)
    if not (isinstance(there, File) and there.content == content):
        tree.add(path, node, origin=origin, replace=ours)


def _find(name: str, artefacts: Sequence[Artefact]) -> tuple[str, Path, str] | None:
    """Where a program or library goes, its bytes on this host, and the package that has it."""
    for artefact in artefacts:
        assert artefact.files is not None  # fetch() gives packages alone
        for path, row in artefact.files.rows.items():
            directory, _, last = path.rpartition("/")
            if last == name and _PLACE.fullmatch(directory) and not stat.S_ISDIR(int(row[0])):
                file = path
                while isinstance(to := artefact.files.rows[file][3], str):  # a link beside it
                    file = f"{file.rpartition('/')[0]}/{to}"
                    if file not in artefact.files.rows:
                        break
                else:
                    return path, artefact.files.checked(file), artefact.name
    return None
