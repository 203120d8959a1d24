"""A TOML file that a person wrote, laid over the files it extends; every key knows its file."""

from __future__ import annotations

import datetime as dt
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rootfs_tool.errors import ConfigError

Table = dict[str, Any]
Key = tuple[str | int, ...]
Finder = Callable[[str, Sequence[Path]], Path]

OWN_KEYS = ("name", "extends")  # what a file says of itself, and never inherits


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, where, and why; an empty ``key`` means the file as a whole."""

    file: Path
    key: Key
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.file), dotted(self.key), self.reason)))


def dotted(key: Key) -> str:
    """A key as people write it: ``network.interface[0].address``."""
    return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in key).lstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """``origins`` names the file of every key; what is inside an array has the array's."""

    path: Path
    table: Table
    origins: Mapping[Key, Path]
    mistakes: tuple[Mistake, ...] = ()

    def origin(self, key: Key) -> Path:
        """The file that ``key`` came from, or the one that should have had it."""
        while key and key not in self.origins:
            key = key[:-1]
        return self.origins.get(key, self.path)

    def over(self, base: Document) -> Document:
        """This document laid over ``base``: tables merge key by key, all else replaces."""
        origins = {
            key: path
            for key, path in base.origins.items()
            if not any(_replaces(self.table, key[:end]) for end in range(1, len(key)))
        }
        return replace(
            self,
            table=_merge(base.table, self.table),
            origins={**origins, **self.origins},
            mistakes=(*self.mistakes, *base.mistakes),
        )

    def without(self, *names: str) -> Document:
        """The same document with these keys of its root table taken away."""
        return replace(
            self,
            table={name: value for name, value in self.table.items() if name not in names},
            origins={key: path for key, path in self.origins.items() if key[0] not in names},
        )

    def only(self, *names: str) -> Document:
        """The same document with no other keys in its root table than these."""
        return self.without(*(name for name in self.table if name not in names))

    def below(self, name: str) -> Document:
        """The same document as one table, called ``name``, of a new root table."""
        origins: dict[Key, Path] = {(name, *key): path for key, path in self.origins.items()}
        mistakes = (Mistake(one.file, (name, *one.key), one.reason) for one in self.mistakes)
        return replace(self, table={name: self.table}, origins=origins, mistakes=tuple(mistakes))

    def beside(self, other: Document) -> Document:
        """This document and ``other``, which has none of its keys, as one."""
        return replace(
            self,
            table={**self.table, **other.table},
            origins={**self.origins, **other.origins},
            mistakes=(*self.mistakes, *other.mistakes),
        )

    def wrong(self, key: Key, reason: str) -> Document:
        """The same document with one more mistake."""
        mistake = Mistake(self.origin(key), key, reason)
        return replace(self, mistakes=(*self.mistakes, mistake))


def load(path: Path, find: Finder) -> Document:
    """Read ``path`` and, beneath it, what it ``extends``, which ``find`` looks up by name.

    ``find(name, chain)`` returns a file that is not in ``chain`` (the files read so far) or raises
    ConfigError, which becomes a mistake of the ``extends`` key. Raises ConfigError if a file cannot
    be read or is not TOML.
    """
    document = lowest = read(path)
    chain = [path]
    while "extends" in lowest.table:
        name = lowest.table["extends"]
        if not isinstance(name, str):
            reason = 'must be the name of a profile, in quotes: extends = "raspberrypi3"'
            document = replace(document, mistakes=lowest.wrong(("extends",), reason).mistakes)
            break
        try:
            found = find(name, chain)
        except ConfigError as error:
            document = replace(document, mistakes=lowest.wrong(("extends",), str(error)).mistakes)
            break
        chain.append(found)
        lowest = read(found)
        document = document.over(lowest.without(*OWN_KEYS))
    return document.without("extends")


def read(path: Path) -> Document:
    """One TOML file. Raises ConfigError if it cannot be read or is not TOML."""
    try:
        return of(path, tomllib.loads(path.read_bytes().decode("utf-8-sig")))
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory, not a TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ConfigError(f"{path}: line {line}: byte 0x{byte:02x} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {_place_first(str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{path}: its tables or arrays are nested too deeply") from None


def of(path: Path, table: Table) -> Document:
    """A document that is one file only; what nothing here can take is noted as a mistake."""
    document = Document(path=path, table=table, origins=dict.fromkeys(_keys(table), path))
    for key, value in _leaves(table):
        if isinstance(value, dt.date | dt.time):
            document = document.wrong(key, f'is a date or a time; put it in quotes: "{value}"')
        elif isinstance(value, str) and "\0" in value:
            document = document.wrong(key, "holds a NUL character")
        elif isinstance(value, float) and not math.isfinite(value):
            document = document.wrong(key, f"must be a finite number, not {value}")
    return document


def _place_first(message: str) -> str:
    """``tomllib`` says "Invalid value (at line 3, column 9)"; compilers put the place first."""
    found = re.fullmatch(r"(.*) \(at (.*)\)", message, re.DOTALL)
    if found is None:
        return f"is not TOML: {message}"
    reason, place = found.groups()
    return f"{place}: is not TOML: {reason[:1].lower()}{reason[1:]}"


def _merge(base: Table, over: Table) -> Table:
    merged = {**base, **over}
    for name in base.keys() & over.keys():
        if isinstance(base[name], dict) and isinstance(over[name], dict):
            merged[name] = _merge(base[name], over[name])
    return merged


def _replaces(over: Any, key: Key) -> bool:
    """Whether ``over`` puts something else in the place of the table at ``key``."""
    for part in key:
        if not isinstance(over, dict) or part not in over:
            return False
        over = over[part]
    return not isinstance(over, dict)


def _keys(table: Table, at: Key = ()) -> Iterator[Key]:
    for name, value in table.items():
        yield (*at, name)
        if isinstance(value, dict):
            yield from _keys(value, (*at, name))


def _leaves(value: object, at: Key = ()) -> Iterator[tuple[Key, object]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, (*at, name))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _leaves(one, (*at, index))
    else:
        yield at, value
