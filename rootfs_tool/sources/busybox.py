"""BusyBox, one program that is all the usual ones: a link for each name it answers to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import FetchError
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.deb import PackageName
from rootfs_tool.tree import File, Symlink, Tree

# libbb/appletlib.c: the names lie in one sorted table, each ended by a NUL, the table by an empty
# one; `[` sorts first.
TABLE = b"[\0[[\0"
_NAME = re.compile(rb"[\[a-z0-9_.-]+")


class Busybox(Source):
    """BusyBox from Debian's busybox-static, with a link in /usr/bin for each of its programs."""

    type: Literal["busybox"] = "busybox"

    package: PackageName = "busybox-static"
    """The Debian package that has /usr/bin/busybox; the dynamic one needs a C library beside it."""

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        return (archive.fetch(self.package),)

    def install(self, artefact: Artefact, tree: Tree) -> None:
        assert artefact.files is not None  # fetch() gives packages alone
        origin = f"package {artefact.name}"
        for path in ("/usr/bin/busybox", "/bin/busybox"):  # the second before Debian 13
            if path in artefact.files.rows:
                program = artefact.files.checked(path).read_bytes()
                tree.add("/usr/bin/busybox", File(content=program, mode=0o755), origin=origin)
                for name in applets(program):
                    if name != "busybox":  # itself
                        tree.add(f"/usr/bin/{name}", Symlink("busybox"), origin=origin)
                return
        raise FetchError(f"package {artefact.name} holds no busybox")


def applets(program: bytes) -> Iterator[str]:
    """The names of the programs in a BusyBox, read out of its bytes: it is for another CPU.

    Raises FetchError if there is no table of them.
    """
    start = program.find(TABLE)
    last = b""
    while start >= 0 and (end := program.find(b"\0", start)) >= 0:
        name = program[start:end]
        if name <= last or not _NAME.fullmatch(name):
            break
        yield name.decode()
        last, start = name, end + 1
    if last <= b"sh":  # it has none, or what was found is something else
        raise FetchError("this busybox holds no table of its programs")
