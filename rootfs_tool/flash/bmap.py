"""The .bmap file that bmaptool, Yocto and others lay beside an image: formats 1.0 to 2.0.

The format is described in the comment that each such file begins with; which element came with
which version is in bmaptool's BmapCopy.py.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from rootfs_tool.blockmap import BlockMap, Kind, Range, check
from rootfs_tool.errors import ConfigError

SUFFIX = ".bmap"
NEWEST = (2, 0)
SECTOR = 512  # bytes; their ranges are multiples of what the maker chose
_RANGE = re.compile(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bmap:
    """``sums`` has the checksum of each range that has one, by where it starts."""

    map: BlockMap
    algorithm: str
    sums: dict[int, str]


def load(path: Path) -> Bmap:
    """Read a .bmap file: what it lists is data, the rest is free.

    Raises ConfigError if it is missing, damaged, or newer than format 2.
    """
    try:
        content = path.read_bytes()
        root = ET.fromstring(content)
        version = tuple(int(part) for part in root.attrib["version"].split("."))
        if version[0] > NEWEST[0]:
            raise ConfigError(f"{path} has format {root.attrib['version']}, newer than 2.0")
        algorithm, attribute = _checked(root, content, version, path)
        size, unit = int(_text(root, "ImageSize")), int(_text(root, "BlockSize"))
        ranges, sums = [], {}
        at = 0
        for element in root.iterfind("BlockMap/Range"):
            match = _RANGE.fullmatch(element.text or "")
            if match is None:
                raise ValueError
            start = int(match[1]) * unit
            end = min((int(match[2] or match[1]) + 1) * unit, size)
            if start > at:
                ranges.append(Range(kind=Kind.FREE, start=at, end=start))
            ranges.append(Range(kind=Kind.DATA, start=start, end=end))
            if sum := element.attrib.get(attribute):
                sums[start] = sum.lower()
            at = end
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ET.ParseError, ValueError, KeyError):
        raise ConfigError(f"{path} is no block map of an image") from None
    if at < size:
        ranges.append(Range(kind=Kind.FREE, start=at, end=size))
    map = BlockMap(size=size, ranges=tuple(ranges))
    check(map, path, unit=SECTOR)
    return Bmap(map=map, algorithm=algorithm, sums=sums)


def _checked(
    root: ET.Element, content: bytes, version: tuple[int, ...], path: Path
) -> tuple[str, str]:
    """The checksums' algorithm and the attribute that holds them, once the file's own is right.

    It is of the file with zeros in its own place. Format 1.3 brought it, with SHA-1 alone.
    """
    if version < (1, 3):
        return "sha1", ""
    if version == (1, 3):
        algorithm, attribute, own = "sha1", "sha1", _text(root, "BmapFileSHA1")
    else:
        algorithm, attribute = _text(root, "ChecksumType"), "chksum"
        own = _text(root, "BmapFileChecksum")
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
        raise ConfigError(f"{path} has checksums of kind {algorithm}, which nobody here knows")
    blank = content.replace(own.encode(), b"0" * len(own), 1)
    if hashlib.new(algorithm, blank).hexdigest() != own.lower():
        raise ConfigError(
            f"{path} is damaged: its checksum does not match",
            hint="get it again, or move it away to write every byte of the image",
        )
    return algorithm, attribute


def _text(root: ET.Element, name: str) -> str:
    text = root.findtext(name)
    if text is None:
        raise ValueError
    return text.strip()
