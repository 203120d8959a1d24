"""Which bytes of an image must be written: the map that a build leaves beside its image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rootfs_tool.errors import ConfigError

FORMAT = 1
SUFFIX = ".map"  # an image's map is called as the image, with this behind it
UNIT = 4096  # bytes that ranges are multiples of


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

    Both are multiples of 4,096, but for the end of an image of another size. ``packed`` is where
    the range begins in an image that ``compressed.compress`` has made.
    """

    kind: Kind
    start: int
    end: int
    sha256: str | None = None
    packed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMap:
    """``ranges`` follow one another from 0 to ``size`` without a gap.

    ``packed`` is the size, in bytes, of the compressed image that the map is for, if it is for one.
    """

    size: int
    ranges: tuple[Range, ...]
    packed: int | None = None

    def amount(self, *kinds: Kind) -> int:
        """How many bytes are of those kinds."""
        return sum(one.end - one.start for one in self.ranges if one.kind in kinds)


def dumps(map: BlockMap) -> str:
    """The text of a map file; the same map gives the same text."""
    table: dict[str, Any] = {"format": FORMAT, **asdict(map)}
    table["checksum"] = _checksum(table)
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def load(path: Path) -> BlockMap:
    """Read a map file. Raises ConfigError if it is missing, damaged or of another format."""
    again = "build the image again, or move the map away to write every byte of the image"
    try:
        table = json.loads(path.read_bytes())
        checksum, format = table.pop("checksum"), table["format"]
        if checksum != _checksum(table):
            raise ConfigError(f"{path} is damaged: its checksum does not match", hint=again)
        if format != FORMAT:
            raise ConfigError(f"{path} is of another rootfs-tool", hint=again)
        ranges = tuple(Range(**{**one, "kind": Kind(one["kind"])}) for one in table["ranges"])
        map = BlockMap(size=table["size"], ranges=ranges, packed=table["packed"])
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is no map of an image", hint=again) from None
    check(map, path)
    return map


def check(map: BlockMap, path: Path, *, unit: int = UNIT) -> None:
    """Raise ConfigError naming ``path`` if the ranges leave a gap, overlap or are not aligned."""
    at = 0
    for one in map.ranges:
        if one.start != at or one.end <= at or (one.end % unit and one.end != map.size):
            raise ConfigError(f"{path}: its range at {one.start} can't be right")
        at = one.end
    if at != map.size:
        raise ConfigError(f"{path}: its ranges end at {at}, the image at {map.size}")


def _checksum(table: dict[str, Any]) -> str:
    """Of all but itself, however it is laid out."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
