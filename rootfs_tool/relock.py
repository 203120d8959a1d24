"""rootfs-tool lock: pin what a build takes, without building. One straight line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rootfs_tool import store, trees
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import Recipe
from rootfs_tool.sources import compiled, lock
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.lock import Lock, Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a pin: the version ``old``, None if it is new; ``new``, None if it goes."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocked:
    """``pins`` is how many packages are pinned; ``left`` are pins that Debian no longer has.

    ``current`` says whether the file said all this before.
    """

    pins: int
    changes: tuple[Change, ...]
    left: tuple[Change, ...]
    current: bool


@store.used()
def relock(recipe: Recipe, path: Path, *, update: bool = False, check: bool = False) -> Relocked:
    """Let the lock ``path`` pin what building ``recipe`` takes, and nothing else.

    What it pins already stays, unless ``update`` takes the newest of everything. ``check`` leaves
    the file as it is. A file that says all that is not written again. Raises RootfsToolError.
    """
    board = recipe.board
    with Archive(suite=board.suite, arch=board.arch, lock=path, update_lock=update) as archive:
        artefacts = (*trees.fetch(recipe, archive).artefacts, *compiled.pinned(archive))
        before, said = archive.before, archive.proposed()
    closure = said.closure if recipe.packages else None
    wanted = replace(said, pins=_needed(said.pins, archive.fetched), closure=closure)
    if wanted != before and not check:
        try:
            lock.save(path, lock.dumps(wanted, suite=board.suite, arch=board.arch))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
    left = [one for one in artefacts if one.replaces is not None]
    return Relocked(
        pins=len(wanted.pins),
        changes=_changes(before, wanted),
        left=tuple(Change(name=one.name, old=one.replaces, new=one.version) for one in left),
        current=wanted == before and not left,
    )


def _needed(pins: Mapping[str, Pin], fetched: Collection[str]) -> dict[str, Pin]:
    """The pins without those of packages that nothing has fetched."""
    return {name: pin for name, pin in pins.items() if name in fetched}


def _changes(before: Lock, wanted: Lock) -> tuple[Change, ...]:
    def version(pin: Pin | None) -> str | None:
        return None if pin is None else pin.version

    return tuple(
        Change(name=name, old=version(before.pins.get(name)), new=version(wanted.pins.get(name)))
        for name in sorted({*before.pins, *wanted.pins})
        if before.pins.get(name) != wanted.pins.get(name)
    )
