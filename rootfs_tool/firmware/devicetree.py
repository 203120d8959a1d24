"""Device trees in the form that a kernel gets them: what is in one, and an alias put into one.

The form, version 17, is chapter 5 of the Devicetree Specification 0.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from rootfs_tool.errors import ConfigError

MAGIC = 0xD00DFEED
VERSION = 17
COMPATIBLE = 16  # the oldest version that readers of this one can read
_HEADER = struct.Struct(">10I")


class _Token(IntEnum):
    BEGIN_NODE = 1
    END_NODE = 2
    PROP = 3
    NOP = 4
    END = 9


@dataclass(frozen=True, slots=True)
class DeviceTree:
    """``nodes`` has every node's properties by the node's path."""

    nodes: Mapping[str, Mapping[str, bytes]]

    def strings(self, path: str, name: str) -> list[str]:
        """The strings of a property; none if it is not there."""
        value = self.nodes.get(path, {}).get(name, b"")
        return value.decode(errors="replace").split("\0")[:-1]

    def children(self, path: str) -> list[str]:
        """The names of the nodes right below one."""
        start = path.rstrip("/") + "/"
        names = (one.removeprefix(start) for one in self.nodes if one.startswith(start))
        return [name for name in names if name and "/" not in name]


def read(blob: bytes) -> DeviceTree:
    """The device tree in ``blob``, which may have more behind it. Raises ConfigError."""
    nodes: dict[str, dict[str, bytes]] = {}
    try:
        for _, path, name, value in _walk(blob):
            properties = nodes.setdefault(path, {})
            if name:
                properties[name] = value
    except (struct.error, ValueError, IndexError):
        raise ConfigError("is not a device tree, or is damaged") from None
    return DeviceTree(nodes)


def with_alias(blob: bytes, name: str, to: str) -> bytes:
    """The same tree with ``name`` for the node ``to`` in /aliases, unless it has one of that name.

    Linux numbers a device by its alias, where there is one. Raises ConfigError.
    """
    tree = read(blob)
    if to not in tree.nodes or "/aliases" not in tree.nodes:
        raise ConfigError(f"the device tree has no {to} that could be called {name}")
    if name in tree.nodes["/aliases"]:
        return blob
    _, _, at_struct, at_strings, at_reserved, _, _, cpu, strings_size, struct_size = (
        _HEADER.unpack_from(blob)
    )
    reserved = blob[at_reserved : _end_of_reserved(blob, at_reserved)]
    nodes = blob[at_struct : at_struct + struct_size]
    strings = blob[at_strings : at_strings + strings_size]
    first = next(place for place, path, _, _ in _walk(blob) if path == "/aliases") - at_struct
    value = to.encode() + b"\0"
    alias = struct.pack(">3I", _Token.PROP, len(value), len(strings)) + _padded(value)
    nodes = nodes[:first] + alias + nodes[first:]
    strings += name.encode() + b"\0"
    sizes = (_HEADER.size, len(reserved), len(nodes), len(strings))
    places = [sum(sizes[:n]) for n in range(1, 5)]
    header = _HEADER.pack(
        *(MAGIC, places[3], places[1], places[2], places[0]),
        *(VERSION, COMPATIBLE, cpu, len(strings), len(nodes)),
    )
    return header + reserved + nodes + strings


def _walk(blob: bytes) -> Iterator[tuple[int, str, str, bytes]]:
    """Each node, with an empty name, and each of its properties: (place after it, path, ...).

    Raises ValueError, IndexError or struct.error if it is not a device tree.
    """
    magic, size, place, strings, _, _, oldest, *_ = _HEADER.unpack_from(blob)
    if magic != MAGIC or size > len(blob) or oldest > VERSION:
        raise ValueError
    path: list[str] = []
    while True:
        (token,) = struct.unpack_from(">I", blob, place)
        place += 4
        match _Token(token):
            case _Token.BEGIN_NODE:
                end = blob.index(b"\0", place)
                path.append(blob[place:end].decode())
                place = _aligned(end + 1)
                yield place, "/".join(path) or "/", "", b""
            case _Token.END_NODE:
                path.pop()
            case _Token.PROP:
                length, name = struct.unpack_from(">2I", blob, place)
                start = strings + name
                text = blob[start : blob.index(b"\0", start)].decode()
                value = blob[place + 8 : place + 8 + length]
                place = _aligned(place + 8 + length)
                yield place, "/".join(path) or "/", text, value
            case _Token.NOP:
                pass
            case _Token.END:
                return


def _end_of_reserved(blob: bytes, start: int) -> int:
    """Where the memory reservations end: the last is all zero."""
    place = start
    while struct.unpack_from(">2Q", blob, place) != (0, 0):
        place += 16
    return place + 16


def _aligned(place: int) -> int:
    return place + -place % 4


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)
