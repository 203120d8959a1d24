"""What the headers of an ELF file say, read by themselves: `elf` takes 30 ms to be imported.

The numbers are those of elf.h, the layouts those of elf(5).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.errors import ConfigError

MAGIC = b"\x7fELF"
MACHINES = {3: "i386", 40: "32-bit ARM", 62: "x86-64", 183: "aarch64", 243: "RISC-V"}

_WIDE = b"\x02\x01"  # 64-bit, little-endian
_PROGRAMS = (2, 3)  # ET_EXEC, ET_DYN
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29

Content = bytes | mmap.mmap


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """A program or library. ``machine`` is as an Arch is called, where there is one for it.

    ``interpreter`` is empty for a static program and for a library; ``needed`` are names of
    libraries and ``runpath`` directories to look for them in.
    """

    machine: str
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()


def start(content: bytes | Path) -> bytes:
    """As much of a file as the kernel looks at to tell what it is. Raises ConfigError."""
    if isinstance(content, bytes):
        return content[:256]
    try:
        with content.open("rb") as file:
            return file.read(256)
    except OSError as error:
        raise ConfigError(f"{content}: {error.strerror}") from None


def read(content: bytes | Path) -> Elf:
    """The headers of a file. Raises ValueError with what is wrong with them, and ConfigError."""
    try:
        if isinstance(content, bytes):
            return _parsed(content)
        with (
            content.open("rb") as file,
            closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as mapped,
        ):
            return _parsed(mapped)
    except OSError as error:
        raise ConfigError(f"{content!s}: {error.strerror}") from None
    except (struct.error, OverflowError):  # an offset that is in no file, or in no memory
        raise ValueError("is cut short") from None


def _parsed(content: Content) -> Elf:
    kind, number = struct.unpack_from("<HH", content, 16)
    machine = MACHINES.get(number, f"machine {number} of elf.h")
    if content[4:6] != _WIDE:
        return Elf(machine=machine if machine != "aarch64" else "32-bit or big-endian aarch64")
    if kind not in _PROGRAMS:
        raise ValueError("is an object file, not linked into a program")
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<IIQQQQ", content, table + i * size) for i in range(count)]
    if any(offset + length > len(content) for _, _, offset, _, _, length in segments):
        raise ValueError("is cut short")
    entries = [
        struct.unpack_from("<qQ", content, at)
        for kind, _, offset, _, _, length in segments
        if kind == _DYNAMIC
        for at in range(offset, offset + length - 15, 16)
    ]
    # DT_STRTAB is an address in memory; a segment says where in the file that is.
    address = next((value for tag, value in entries if tag == _STRINGS), 0)
    strings = next(
        (
            offset + address - begin
            for kind, _, offset, begin, _, length in segments
            if kind == _LOAD and begin <= address < begin + length
        ),
        address,
    )

    def named(*tags: int) -> Iterator[str]:
        return (_text(content, strings + value) for tag, value in entries if tag in tags)

    return Elf(
        machine=machine,
        interpreter=next((_text(content, s[2]) for s in segments if s[0] == _INTERPRETER), ""),
        needed=tuple(named(_NEEDED)),
        runpath=tuple(one for path in named(_RPATH, _RUNPATH) for one in path.split(":")),
    )


def _text(content: Content, at: int) -> str:
    end = content.find(b"\0", at)
    return content[at : max(at, end)].decode(errors="replace")
