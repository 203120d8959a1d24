"""What a board says of itself beside its network: disks, clock, kernel, files, devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import PurePosixPath

HEADING = re.compile(r"^==> (.+) <==$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A line of /proc/mounts (fstab(5))."""

    device: str
    path: str
    type: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.device} on {self.path} type {self.type} ({','.join(self.options)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What df says of a filesystem: KiB, or inodes."""

    path: str
    size: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFile:
    """``head`` is how it begins, up to 2 KiB; ``run_by`` are the processes that run it."""

    path: str
    mode: int
    uid: int
    size: int
    head: bytes
    run_by: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that no driver has, and the alias by which a module is looked for (modprobe(8))."""

    name: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Somebody who answers that an address is his."""

    address: IPv4Address
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """``clock`` is in seconds since the epoch, ``kernel`` what ``uname -srm`` says.

    ``aliases`` are those of the modules that the board has, each with its module. ``first_port`` is
    the first that an ordinary user may open, ``libraries`` what a dynamic program begins with, by
    their paths: glibc, and the interpreters. ``directory`` is where its shell is.
    """

    mounts: tuple[Mount, ...] = ()
    room: tuple[Room, ...] = ()
    inodes: tuple[Room, ...] = ()
    clock: int | None = None
    kernel: str = ""
    modules: frozenset[str] = frozenset()
    first_port: int = 1024
    libraries: frozenset[str] = frozenset()
    undriven: tuple[Device, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    files: tuple[BoardFile, ...] = ()
    claims: tuple[Claim, ...] = ()
    directory: str = ""

    @property
    def libc(self) -> bool:
        """Whether there is a glibc to load."""
        return any(one.endswith("/libc.so.6") for one in self.libraries)

    def mount(self, path: str) -> Mount | None:
        """The filesystem that a path is on; of several at one place the last one counts."""
        holds = [one for one in self.mounts if PurePosixPath(path).is_relative_to(one.path)]
        return max(reversed(holds), key=lambda one: len(one.path), default=None)


def parse(text: str) -> Board:
    """Read what ask.sh prints. What is missing is empty, what is no entry is left out."""
    part = _parts(text)
    kernel = part.get("kernel", [""])
    return Board(
        mounts=tuple(_mounts(part.get("mounts", []))),
        room=tuple(_room(part.get("room", []))),
        inodes=tuple(_room(part.get("inodes", []))),
        clock=_number(part.get("clock", [])),
        kernel=kernel[0] if kernel else "",
        modules=frozenset(part.get("modules", [])),
        first_port=_number(part.get("first port", [])) or 1024,
        libraries=frozenset(part.get("libraries", [])),
        undriven=tuple(_undriven(part.get("undriven", []))),
        aliases=tuple(_aliases(part.get("aliases", []))),
        files=tuple(_files(part.get("files", []))),
        claims=tuple(_claims(part.get("claims", []))),
        directory=next(iter(part.get("directory", [])), ""),
    )


def _parts(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    lines = found.setdefault("", [])
    for line in text.splitlines():
        if heading := HEADING.match(line):
            lines = found.setdefault(heading[1], [])
        else:
            lines.append(line)
    return found


def _number(lines: list[str]) -> int | None:
    with suppress(ValueError, IndexError):
        return int(lines[0])
    return None


def _mounts(lines: list[str]) -> Iterator[Mount]:
    for line in lines:
        with suppress(ValueError):
            device, path, kind, options = line.split()[:4]
            yield Mount(device=device, path=path, type=kind, options=tuple(options.split(",")))


def _room(lines: list[str]) -> Iterator[Room]:
    for line in lines[1:]:
        with suppress(ValueError, IndexError):
            fields = line.split()
            yield Room(path=fields[5], size=int(fields[1]), free=int(fields[3]))


def _undriven(lines: list[str]) -> Iterator[Device]:
    for line in lines:
        name, _, alias = line.partition(" ")
        if alias:
            yield Device(name=name, alias=alias)


def _aliases(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        with suppress(ValueError):
            _, alias, module = line.split()
            yield alias, module


def _files(lines: list[str]) -> Iterator[BoardFile]:
    """Three lines for each file; a path may have blanks, the three numbers behind it none."""
    for first, second, third in zip(lines[::3], lines[1::3], lines[2::3], strict=False):
        with suppress(ValueError):
            path, mode, uid, size = first.removeprefix("file ").rsplit(" ", 3)
            yield BoardFile(
                path=path,
                mode=int(mode, 8),
                uid=int(uid),
                size=int(size),
                head=bytes.fromhex(second.removeprefix("head ")),
                run_by=tuple(int(one) for one in third.split()[1:]),
            )


# "Unicast reply from 10.0.0.2 [52:54:00:00:00:02] 0.030ms", BusyBox's and iputils' words.
_REPLY = re.compile(r"reply from (\d+\.\d+\.\d+\.\d+) (?:for \S+ )?\[([0-9A-Fa-f:]{11,17})\]")


def _claims(lines: list[str]) -> Iterator[Claim]:
    for address, mac in dict.fromkeys(_REPLY.findall("\n".join(lines))):
        with suppress(ValueError):
            yield Claim(address=IPv4Address(address), mac=mac.lower())
