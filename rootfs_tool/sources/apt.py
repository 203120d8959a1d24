"""Debian's archive: the packages that the lock pins, from the cache or through apt."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rootfs_tool import events, paths, store
from rootfs_tool.arch import Arch
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.sources import lock
from rootfs_tool.sources.lock import Lock, Pin
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
    _before: Lock = field(init=False, repr=False)
    _pins: Mapping[str, Pin] = field(init=False, repr=False)
    _taken: dict[str, Pin] = field(init=False, repr=False, default_factory=dict)
    _states: dict[str, AptState] = field(init=False, repr=False, default_factory=dict)
    _open: ExitStack = field(init=False, repr=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        try:
            self._before = lock.load(self.lock, suite=self.suite, arch=self.arch)
        except ConfigError:
            if not self.update_lock:
                raise
            self._before = Lock()
        self._pins = {} if self.update_lock else self._before.pins

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        for state in self._states.values():
            state.sweep()
        self._states.clear()
        self._open.close()

    def fetch(self, name: str, *, follow: str = "", component: str = "main") -> Artefact:
        """The package called ``name``, unpacked.

        If its first dependency's name starts with ``follow``, it only stands for that one. Asks
        the archive only for what is not in the cache. Raises FetchError.
        """
        pinned = self._pins.get(name)
        if pinned is None and self.locked:
            raise FetchError(
                f"{self.lock} pins no {name} of {self.suite}", hint="--update-lock pins the newest"
            )
        pin, stored = self._cached(name, pinned) or self._get(name, pinned, follow, component)
        return self._artefact(pin, stored, pinned)

    def save_lock(self) -> int | None:
        """Write what was taken into the lock, if it pins less than that; returns its epoch.

        That is the day of the last change of its pins, in seconds since 1970; None if no lock says.

        Where it can't be written the build goes on, and takes the same again from the cache; with
        ``update_lock`` that is a ConfigError.
        """
        new = {name: pin for name, pin in self._taken.items() if name not in self._pins}
        if not new:
            return self._before.epoch
        pins = {**self._pins, **new}
        today = int(time.time()) // DAY * DAY
        epoch = self._before.epoch if pins == self._before.pins else today
        text = lock.dumps(Lock(pins=pins, epoch=epoch), suite=self.suite, arch=self.arch)
        try:
            lock.save(self.lock, text)
        except OSError as error:
            if self.update_lock:
                raise ConfigError(f"{self.lock}: {error.strerror}") from None
            events.note(f"{self.lock} can't be written: nothing pins {', '.join(new)}")
            for pin in new.values():
                self._remember(pin, None)
            return self._before.epoch
        events.note(f"wrote {self.lock}")
        return epoch

    def _cached(self, name: str, pinned: Pin | None) -> tuple[Pin, Stored] | None:
        for pin in filter(None, (pinned, self._remembered(name, pinned))):
            stored = store.find("unpacked", pin.sha256)
            if stored is not None:
                return pin, stored
        return None

    def _get(
        self, name: str, pinned: Pin | None, follow: str, component: str
    ) -> tuple[Pin, Stored]:
        from rootfs_tool.sources.unpack import unpack  # what a warm build can do without

        with store.unwritable(paths.cache()):
            state = self._state(component)
            cached = self._cached(name, pinned)  # another build may have been faster
            if cached is not None:
                return cached
            state.update()
            pin, listed = self._choose(state, name, pinned, follow)
            stored = store.find("unpacked", pin.sha256)
            if stored is None:
                with state.download(listed) as package, events.step(f"unpack {pin.package}"):
                    lock.check(pin, package)
                    stored = unpack(package, pin.sha256)
            if pinned is not None and pin != pinned:
                self._remember(pin, pinned)
        return pin, stored

    def _artefact(self, pin: Pin, stored: Stored, pinned: Pin | None) -> Artefact:
        replaces = None if pinned is None or pin == pinned else pinned.version
        if replaces is not None:
            events.note(
                f"{pin.name} {replaces} has left Debian's archive: taking {pin.version}; "
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
                    f"{pinned.package} {pinned.version} has left Debian's archive",
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
            raise FetchError(
                f"Debian's {self.suite}/{self.arch.debian} has no package {name}{guess}"
            )
        first = versions[0].depends.split(",")[0].split("|")[0].split(" ")[0]
        if follow and first.startswith(follow) and first != name:
            return self._newest(state, first, "")
        return versions[0]

    def _remembered(self, name: str, pinned: Pin | None) -> Pin | None:
        """What an earlier build took in the place of ``pinned``, or with nowhere to pin it."""
        if self.locked or self.update_lock:
            return None
        if pinned is None and os.access(self.lock.parent, os.W_OK):
            return None
        try:
            return lock.pin_of(json.loads(self._memory(name, pinned).read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, pin: Pin, pinned: Pin | None) -> None:
        path = self._memory(pin.name, pinned)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.save(path, json.dumps(asdict(pin)))

    def _memory(self, name: str, pinned: Pin | None) -> Path:
        key = [self.suite, self.arch.debian, name, pinned.sha256 if pinned else ""]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        return paths.cache() / "taken" / f"{digest}.json"


def check_host() -> None:
    """Raises FetchError, with what to do, if this host does not say where Debian's archive is."""
    from rootfs_tool.sources import mirrors

    mirrors.sources("stable", "main")
