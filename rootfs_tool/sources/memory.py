"""What builds took that no lock says: kept in the cache, so that the next takes the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rootfs_tool import paths
from rootfs_tool.sources import lock
from rootfs_tool.sources.lock import Closure, Pin


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one suite and architecture, as Debian calls them."""

    suite: str
    arch: str

    def pin(self, name: str, pinned: Pin | None) -> Pin | None:
        """What was taken in the place of ``pinned``, or with nowhere to pin it."""
        try:
            return lock.pin_of(json.loads(self._of_pin(name, pinned).read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_pin(self, pin: Pin, pinned: Pin | None) -> None:
        _write(self._of_pin(pin.name, pinned), pin)

    def closure(self, asked: tuple[str, ...]) -> Closure | None:
        """What the packages ``asked`` for came to, with nowhere to say so."""
        try:
            return lock.closure_of(json.loads(self._of_closure(asked).read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_closure(self, closure: Closure) -> None:
        _write(self._of_closure(closure.asked), closure)

    def _of_pin(self, name: str, pinned: Pin | None) -> Path:
        return self._path(name, pinned.sha256 if pinned else "")

    def _of_closure(self, asked: tuple[str, ...]) -> Path:
        return self._path("", *asked)  # no package is called that

    def _path(self, *words: str) -> Path:
        digest = hashlib.sha256(json.dumps([self.suite, self.arch, *words]).encode()).hexdigest()
        return paths.cache() / "taken" / f"{digest}.json"


def _write(path: Path, what: Pin | Closure) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock.save(path, json.dumps(asdict(what)))
