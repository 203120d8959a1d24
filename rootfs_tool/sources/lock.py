"""The lock: which package exactly a build takes; a TOML file beside the profile."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError, FetchError

FORMAT = 1
LATEST = 1 << 32  # what an initramfs can't hold any more, in seconds since 1970
HEADER = """\
# The exact packages that a build takes: commit this file beside the profile.
# Written by rootfs-tool; `rootfs-tool build --update-lock` takes the newest and writes it again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package.

    ``name`` is what was asked for and ``package`` what that stands for; ``size`` is in bytes, of
    the .deb, and ``sha256`` its digest in hexadecimal.
    """

    name: str
    package: str
    version: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The packages that were ``asked`` for, and ``taken`` all that come with them; both sorted."""

    asked: tuple[str, ...]
    taken: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a lock says: the pins by the name asked for, and the day of the newest of them.

    ``epoch`` is in seconds since 1970; None if it says none. ``closure`` is what apt made of the
    packages of a recipe, None where none were asked for.
    """

    pins: Mapping[str, Pin] = field(default_factory=dict)
    epoch: int | None = None
    closure: Closure | None = None


def load(path: Path, *, suite: str, arch: Arch) -> Lock:
    """What the lock says; nothing if there is none, or it is of another suite.

    Raises ConfigError if the file is not a lock.
    """
    try:
        table = tomllib.loads(path.read_text())
        if table["format"] != FORMAT:
            raise ConfigError(f"{path}: is of another rootfs-tool", hint="--update-lock renews it")
        if (table["suite"], table["architecture"]) != (suite, arch.debian):
            return Lock()
        pins = {pin.name: pin for pin in map(pin_of, table.get("package", ()))}
        closure = closure_of(table["closure"]) if "closure" in table else None
        return Lock(pins=pins, epoch=_epoch(table.get("epoch")), closure=closure)
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"{path}: is not a lock file: {reason}",
            hint="--update-lock writes it anew, as does `rootfs-tool lock --update`",
        ) from None


def _epoch(value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value < LATEST):
        return value
    raise ValueError("epoch must be seconds since 1970, below 2**32")


def pin_of(table: dict[str, Any]) -> Pin:
    """A pin as a file has it. Raises ValueError, KeyError or TypeError if it is none."""
    name, names = table.get("name", "without a name"), [one.name for one in fields(Pin)]
    if lacking := [one for one in names if one not in table]:
        raise ValueError(f"the package {name} has no {lacking[0]}")
    if unknown := [one for one in table if one not in names]:
        raise ValueError(f"the package {name} has an unknown {unknown[0]}")
    pin = Pin(**table)
    for one in fields(pin):
        if type(getattr(pin, one.name)).__name__ != one.type:
            raise TypeError(f"{one.name} must be {one.type}")
    if len(pin.sha256) != 64 or set(pin.sha256) - set("0123456789abcdef"):
        raise ValueError(f"sha256 of {pin.name} is not 64 hexadecimal digits")
    return pin


def closure_of(table: dict[str, Any]) -> Closure:
    """A closure as a file has it. Raises ValueError, KeyError or TypeError if it is none."""
    asked, taken = table["asked"], table["taken"]
    if not all(isinstance(one, list) and set(map(type, one)) <= {str} for one in (asked, taken)):
        raise TypeError("closure must have two arrays of names: asked and taken")
    return Closure(asked=tuple(asked), taken=tuple(taken))


def check(pin: Pin, package: Path) -> None:
    """Raises FetchError unless the file ``package`` is the pinned one."""
    with package.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != pin.sha256:
        raise wrong_bytes(pin, got=got)


def wrong_bytes(pin: Pin, *, got: str) -> FetchError:
    return FetchError(
        f"{pin.package} {pin.version} is not the pinned one: "
        f"expected sha256 {pin.sha256}, got {got}",
        hint="a broken download or mirror? if the archive is to be trusted, --update-lock",
    )


def dumps(lock: Lock, *, suite: str, arch: Arch) -> str:
    """The text of a lock; what says the same gives the same text."""
    lines = [HEADER, f"format = {FORMAT}", f'suite = "{suite}"', f'architecture = "{arch.debian}"']
    if lock.epoch is not None:
        lines.append(f"epoch = {lock.epoch} # {_day(lock.epoch)}, the time of every file")
    if lock.closure is not None:
        names = ((key, map(json.dumps, value)) for key, value in asdict(lock.closure).items())
        lines += ["", "[closure] # what the recipe's packages bring with them"]
        lines += [f"{key} = [{', '.join(quoted)}]" for key, quoted in names]
    for pin in sorted(lock.pins.values(), key=lambda pin: pin.name):
        lines += ["", "[[package]]"]
        # Debian policy 5.6.1 and 5.6.12: neither names nor versions hold a quote or a backslash.
        for key, value in asdict(pin).items():
            lines.append(f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"')
    return "\n".join(lines) + "\n"


def _day(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).date().isoformat()


def save(path: Path, text: str) -> None:
    """Write a lock whole or not at all. Raises OSError where that is not possible."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
