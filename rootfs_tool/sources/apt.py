"""Debian's archive: the packages that the lock pins, from the cache or through apt."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rootfs_tool import events, paths, store
from rootfs_tool.arch import Arch
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.sources import lock
from rootfs_tool.sources.lock import Closure, Lock, Pin
from rootfs_tool.sources.memory import Memory
from rootfs_tool.store import Stored

DAY = 86_400  # seconds

if TYPE_CHECKING:
    from rootfs_tool.sources.aptstate import AptState, Listed


@dataclass(slots=True, kw_only=True)
class Archive:
    """One suite and architecture of Debian's archive, and the pins of one build.

    ``lock`` is the lock file. ``locked`` takes nothing but what it pins, ``update_lock`` the newest
    whatever it pins. Used in a with statement, it keeps other builds out of apt's state from the
    first download to the end of the block.
    """

    suite: str
    arch: Arch
    lock: Path
    locked: bool = False
    update_lock: bool = False
    before: Lock = field(init=False, repr=False)
    fetched: set[str] = field(init=False, repr=False, default_factory=set)  # names asked for
    _pins: Mapping[str, Pin] = field(init=False, repr=False)
    _closure: Closure | None = field(init=False, repr=False)
    _taken: dict[str, Pin] = field(init=False, repr=False, default_factory=dict)
    _states: dict[str, AptState] = field(init=False, repr=False, default_factory=dict)
    _open: ExitStack = field(init=False, repr=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        try:
            self.before = lock.load(self.lock, suite=self.suite, arch=self.arch)
        except ConfigError:
            if not self.update_lock:
                raise
            self.before = Lock()
        self._pins = {} if self.update_lock else self.before.pins
        self._closure = None if self.update_lock else self.before.closure

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        for state in self._states.values():
            state.sweep()
        self._states.clear()
        self._open.close()

    def closure(self, names: Collection[str]) -> tuple[str, ...]:
        """The packages ``names`` of main and all that they need, as the lock says, or else apt.

        Says what is left out, as only maintainer scripts need it. Raises FetchError.
        """
        asked = tuple(sorted(set(names)))
        if self._closure is None or self._closure.asked != asked:
            if self.locked:
                raise FetchError(
                    f"{self.lock} does not say what {', '.join(asked)} bring",
                    hint="a build without --locked adds it",
                )
            forgotten = self.update_lock or self._can_say()
            self._closure = None if forgotten else self._memory.closure(asked)
            self._closure = self._closure or self._resolve(asked)
        return self._closure.taken

    def fetch(
        self, name: str, *, follow: str = "", component: str = "main", scripts: bool = False
    ) -> Artefact:
        """The package called ``name``, unpacked.

        If its first dependency's name starts with ``follow``, it only stands for that one. Its
        maintainer scripts are kept if ``scripts`` says so. Asks the archive only for what is not in
        the cache. Raises FetchError.
        """
        self.fetched.add(name)
        pinned = self._pins.get(name)
        if pinned is None and self.locked:
            raise FetchError(
                f"{self.lock} pins no {name} of {self.suite}", hint="--update-lock pins the newest"
            )
        cached = self._cached(name, pinned, scripts)
        pin, stored = cached or self._get(name, pinned, follow, component, scripts)
        return self._artefact(pin, stored, pinned)

    def ahead(self, names: Sequence[str], *, scripts: bool = False) -> None:
        """Download at once what `fetch` will want of main, as far as it is not in the cache.

        Raises FetchError.
        """
        missing = {name: self._pins.get(name) for name in names}
        for name, pin in tuple(missing.items()):
            if self._cached(name, pin, scripts) or (self.locked and pin is None):
                del missing[name]
        if len(missing) > 1:
            with store.unwritable(paths.cache()):
                state = self._state("main")
                state.update()
                with suppress(FetchError):  # one has left the archive: _choose() knows what to do
                    state.shown(tuple(missing))
                chosen = [self._choose(state, name, pin, "") for name, pin in missing.items()]
                # Another build may have been faster.
                state.download_ahead([one for pin, one in chosen if not _stored(pin, scripts)])

    def proposed(self) -> Lock:
        """What the lock is to say: its pins, and what was taken beside them."""
        pins = {**self._pins, **self._taken}
        known = pins.items() <= self.before.pins.items()
        epoch = self.before.epoch if known else int(time.time()) // DAY * DAY
        return Lock(pins=pins, epoch=epoch, closure=self._closure)

    def save_lock(self) -> int | None:
        """Write what was taken into the lock, if it says anything else; returns its epoch.

        That is the day of the last change of its pins, in seconds since 1970; None if no lock says.

        Where it can't be written the build goes on, and takes the same again from the cache; with
        ``update_lock`` that is a ConfigError.
        """
        new, said = self._taken, self.proposed()
        if said == self.before:
            return said.epoch
        text = lock.dumps(said, suite=self.suite, arch=self.arch)
        try:
            lock.save(self.lock, text)
        except OSError as error:
            if self.update_lock:
                raise ConfigError(f"{self.lock}: {error.strerror}") from None
            what = f": nothing pins {', '.join(new)}" if new else ""
            events.note(f"{self.lock} can't be written{what}")
            for pin in new.values():
                self._memory.keep_pin(pin, None)
            if self._closure is not None:
                self._memory.keep_closure(self._closure)
            return self.before.epoch
        events.note(f"wrote {self.lock}")
        return said.epoch

    def _resolve(self, asked: tuple[str, ...]) -> Closure:
        from rootfs_tool.sources.resolve import resolve  # what a warm build can do without

        with store.unwritable(paths.cache()):
            state = self._state("main")
            state.update()
            with events.step(f"resolve {', '.join(asked)}"):
                kept = {one.package: one.version for one in self._pins.values()}
                taken, left_out = resolve(state, asked, kept)
        if left_out:
            events.note(f"left out, as only maintainer scripts use it: {', '.join(left_out)}")
        return Closure(asked=asked, taken=taken)

    def _cached(self, name: str, pinned: Pin | None, scripts: bool) -> tuple[Pin, Stored] | None:
        for pin in filter(None, (pinned, self._remembered(name, pinned))):
            stored = _stored(pin, scripts)
            if stored is not None:
                return pin, stored
        return None

    def _get(
        self, name: str, pinned: Pin | None, follow: str, component: str, scripts: bool
    ) -> tuple[Pin, Stored]:
        from rootfs_tool.sources.unpack import unpack  # what a warm build can do without

        with store.unwritable(paths.cache()):
            state = self._state(component)
            cached = self._cached(name, pinned, scripts)  # another build may have been faster
            if cached is not None:
                return cached
            state.update()
            pin, listed = self._choose(state, name, pinned, follow)
            stored = _stored(pin, scripts)
            if stored is None:
                with state.download(listed) as package, events.step(f"unpack {pin.package}"):
                    lock.check(pin, package)
                    stored = unpack(package, pin.sha256)
            if pinned is not None and pin != pinned:
                self._memory.keep_pin(pin, pinned)
        return pin, stored

    def _artefact(self, pin: Pin, stored: Stored, pinned: Pin | None) -> Artefact:
        replaces = None if pinned is None or pin == pinned else pinned.version
        if replaces is not None:
            events.note(
                f"{pin.name} {replaces} is not in this host's archive: taking {pin.version}; "
                "--update-lock pins it"
            )
        elif pinned is None:
            self._taken[pin.name] = pin
        copyright = f"/usr/share/doc/{pin.package}/copyright"
        return Artefact(
            name=pin.package,
            version=pin.version,
            sha256=pin.sha256,
            origin=f"debian {self.suite}/{self.arch.debian}",
            path=stored.directory,
            files=stored,
            licence=stored.path(copyright) if copyright in stored.rows else None,
            replaces=replaces,
        )

    def _state(self, component: str) -> AptState:
        from rootfs_tool.sources import aptstate

        if not self._states:
            shelf = paths.cache() / "apt"
            shelf.mkdir(exist_ok=True)
            self._open.enter_context(store.locked(shelf / "lock"))
        if component not in self._states:
            self._states[component] = aptstate.prepare(self.suite, self.arch, component)
        return self._states[component]

    def _choose(
        self, state: AptState, name: str, pinned: Pin | None, follow: str
    ) -> tuple[Pin, Listed]:
        """What the lock pins, or the suite's newest if the archive no longer has that."""
        if pinned is not None:
            for listed in state.versions(pinned.package):
                if listed.version == pinned.version:
                    if listed.sha256 != pinned.sha256:
                        raise lock.wrong_bytes(pinned, got=listed.sha256)
                    return pinned, listed
            if self.locked:
                raise FetchError(
                    f"{pinned.package} {pinned.version} is not in this host's archive of Debian",
                    hint="without --locked the newest is taken; --update-lock pins it",
                )
        listed = self._newest(state, name, follow)
        pin = Pin(
            name=name,
            package=listed.package,
            version=listed.version,
            size=listed.size,
            sha256=listed.sha256,
        )
        return pin, listed

    def _newest(self, state: AptState, name: str, follow: str) -> Listed:
        versions = state.versions(name)
        if not versions:
            guess = did_you_mean(name, state.names(name[:2]))
            here = self._closure.taken if self._closure else ()
            raise FetchError(
                f"Debian's {self.suite}/{self.arch.debian} has no package {name}{guess}",
                hint="--update-lock resolves anew what the packages bring"
                if name in here
                else None,
            )
        first = versions[0].depends.split(",")[0].split("|")[0].split(" ")[0]
        if follow and first.startswith(follow) and first != name:
            return self._newest(state, first, "")
        return versions[0]

    def _remembered(self, name: str, pinned: Pin | None) -> Pin | None:
        if self.locked or self.update_lock:
            return None
        if pinned is None and self._can_say():
            return None
        return self._memory.pin(name, pinned)

    def _can_say(self) -> bool:
        """Whether a lock can be written here."""
        return os.access(self.lock.parent, os.W_OK)

    @property
    def _memory(self) -> Memory:
        return Memory(self.suite, self.arch.debian)


def _stored(pin: Pin, scripts: bool) -> Stored | None:
    if scripts and store.find("scripts", pin.sha256) is None:
        return None
    return store.find("unpacked", pin.sha256)


def check_host() -> bool:
    """Whether this host's sources have security updates. FetchError if they have no Debian."""
    from rootfs_tool.sources import mirrors

    return "stable-security" in mirrors.sources("stable", "main")
