"""What was changed, written down before it is changed: `down` reads it, also after a crash."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rootfs_tool.errors import ConfigError
from rootfs_tool.hostnet.changes import Address, Change, Sysctl, Tap, Up
from rootfs_tool.hostnet.leases import Dnsmasq
from rootfs_tool.hostnet.nat import Chains, Table
from rootfs_tool.hostnet.wanted import Wanted

RUN = Path("/run/rootfs-tool")
FORMAT = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_KINDS: dict[str, type[Change]] = {
    one.kind: one for one in (Tap, Address, Up, Sysctl, Table, Chains, Dnsmasq)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """``uplink`` is the interface that was found to be it; ``changes`` are in order.

    ``whole`` is false while they are being made or undone, and after a crash in the midst of that.
    ``boot`` and ``namespace`` tell of which run of which network they are.
    """

    wanted: Wanted
    uplink: str | None
    changes: tuple[Change, ...]
    whole: bool
    boot: str
    namespace: int

    @property
    def path(self) -> Path:
        return stem(self.wanted.device).with_suffix(".json")

    @property
    def stale(self) -> bool:
        """Whether this host has been restarted since, after which nothing of it is left."""
        return self.boot != boot()

    def save(self) -> None:
        """Write it so that a crash, of the power too, leaves it whole: the old one or the new."""
        text = json.dumps(
            {
                "format": FORMAT,
                "boot": self.boot,
                "namespace": self.namespace,
                "uplink": self.uplink,
                "whole": self.whole,
                "wanted": asdict(self.wanted),
                "changes": [{"kind": one.kind, **asdict(one)} for one in self.changes],
            },
            indent=1,
        )
        new = self.path.with_suffix(".new")
        with new.open("w") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # `status` is for everybody
            os.fsync(file.fileno())
        new.rename(self.path)
        _sync(RUN)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        _sync(RUN)


def stem(device: str) -> Path:
    """What the names of a device's files begin with."""
    return RUN / f"hostnet-{device}"


def boot() -> str:
    """What names this run of the kernel (random(4))."""
    return _BOOT.read_text().strip()


def namespace() -> int:
    """What names this network namespace, while there is a process in it (namespaces(7))."""
    return Path("/proc/self/ns/net").stat().st_ino


def read(device: str) -> Journal | None:
    """What was done to ``device``, or None. Raises ConfigError if that can't be read."""
    path = stem(device).with_suffix(".json")
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ConfigError(
                f"{path} was written by another version of rootfs-tool",
                hint="take it down with that one, or restart this host",
            )
        return _journal(found)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged: {error}", hint="restart this host, which undoes all; then rm it"
        ) from None


def every() -> list[Journal]:
    """All that there are, by the names of their devices."""
    names = sorted(path.stem.removeprefix("hostnet-") for path in RUN.glob("hostnet-*.json"))
    return [journal for name in names if (journal := read(name)) is not None]


def _journal(found: dict[str, Any]) -> Journal:
    return Journal(
        wanted=Wanted(**found["wanted"]),
        uplink=found["uplink"],
        whole=found["whole"],
        changes=tuple(_change(**one) for one in found["changes"]),
        boot=found["boot"],
        namespace=found["namespace"],
    )


def _change(*, kind: str, **fields: Any) -> Change:
    return _KINDS[kind](**fields)


@contextmanager
def locked() -> Iterator[None]:
    """Only one process at a time changes anything."""
    if not RUN.is_dir():
        RUN.mkdir(exist_ok=True)
        RUN.chmod(0o755)
    with (RUN / "hostnet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
