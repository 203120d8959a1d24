"""The packages that a recipe asks for by name, with all that they depend on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rootfs_tool import events
from rootfs_tool.artefact import Artefact
from rootfs_tool.sources import deb, scripts
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import Tree

UPGRADERS = ("libc6",)  # whose scripts look after what runs while the package is replaced


def fetch(names: Collection[str], archive: Archive) -> tuple[Artefact, ...]:
    """Have the packages and what they need on this host, unpacked. Raises FetchError.

    Says what their maintainer scripts would do, for they do not run: of each where the lock does
    not say yet what the names bring, later in one line.
    """
    if not names:
        return ()
    closure = archive.closure(names)
    archive.ahead(closure, scripts=True)
    found = tuple(archive.fetch(name, scripts=True) for name in closure)
    said = {one.name: scripts.wants(one.sha256) for one in found if one.name not in UPGRADERS}
    wanting = {name: wants for name, wants in said.items() if wants}
    if archive.before.closure != archive.proposed().closure:
        for name, wants in wanting.items():
            events.note(f"{name}: its scripts, which do not run here, would {wants}")
    elif wanting:
        events.note(f"scripts of packages do not run here: {', '.join(wanting)}")
    return found


def install(artefacts: Sequence[Artefact], tree: Tree) -> None:
    """Put their files into ``tree``, in the place of BusyBox's programs of the same names."""
    replaced = [path for artefact in artefacts for path in deb.install(artefact, tree)]
    deb.say_replaced(replaced, tree)
