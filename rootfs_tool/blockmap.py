"""Which bytes of an image must be written: the map that a build leaves beside its image."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

FORMAT = 1
SUFFIX = ".map"  # an image's map is called as the image, with this behind it


class Kind(StrEnum):
    """What a device must hold in a range once the image is on it."""

    DATA = "data"
    """The bytes of the image."""
    ZERO = "zero"
    """Zeros, whatever was there before; the image may have a hole."""
    FREE = "free"
    """Anything: no file system reads it before it has written it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bytes ``start`` up to, not including, ``end``; ``sha256`` of them, for data, if it is known.

    Both are multiples of 4,096, but for the end of an image of another size.
    """

    kind: Kind
    start: int
    end: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMap:
    """``ranges`` follow one another from 0 to ``size`` without a gap."""

    size: int
    ranges: tuple[Range, ...]


def dumps(map: BlockMap) -> str:
    """The text of a map file; the same map gives the same text."""
    table: dict[str, Any] = {"format": FORMAT, **asdict(map)}
    return json.dumps(table, indent=1, sort_keys=True) + "\n"
