"""Is this program for the board, and does it bring all it needs? Asked before it is sent."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError

DF_1_PIE = 0x08000000


def check(path: Path, arch: Arch) -> None:
    """Pass a static program of ``arch``, or a script; else ConfigError with the line that mends it.

    Reads the headers that elf(5) describes: the machine, PT_INTERP, DT_NEEDED and where each
    segment should end in the file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path} is not a regular file", hint="is the path right?")
        with path.open("rb") as file:
            start = file.read(4)
            if start[:2] == b"#!":
                return
            if start != b"\x7fELF":
                raise ConfigError(
                    f"{path} is neither an ELF program nor a script with #!", hint=_link(path, arch)
                )
            _examine(path, ELFFile(file), arch)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="is the path right?") from None
    except (ELFError, ValueError, UnicodeDecodeError, AttributeError, KeyError) as error:
        raise ConfigError(f"{path} is a damaged ELF file: {error}", hint="build it again") from None


def needed(path: Path) -> list[str]:
    """The libraries that a program or library loads: DT_NEEDED, elf(5).

    Raises ConfigError if it is no ELF file.
    """
    try:
        with path.open("rb") as file:
            dynamic: Any = ELFFile(file).get_section_by_name(".dynamic")
            return [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")] if dynamic else []
    except (ELFError, OSError, ValueError, AttributeError, KeyError) as error:
        raise ConfigError(f"{path} is a damaged ELF file: {error}") from None


def _examine(path: Path, elf: Any, arch: Arch) -> None:
    if elf["e_machine"] != arch.elf_machine:
        raise ConfigError(
            f"{path} is built for {_machine(elf)}, the board is {arch}", hint=_link(path, arch)
        )
    segments = list(elf.iter_segments())
    dynamic = [one for one in segments if one["p_type"] == "PT_DYNAMIC"]
    if elf["e_type"] not in ("ET_EXEC", "ET_DYN") or _is_library(elf, segments):
        raise ConfigError(f"{path} is not linked into a program", hint=_link(path, arch))
    end = max((one["p_offset"] + one["p_filesz"] for one in segments), default=0)
    size = path.stat().st_size
    if size < end:
        raise ConfigError(
            f"{path} is cut short: it has {size} bytes, its headers speak of {end}",
            hint="copy or build it again",
        )
    interpreter = next(
        (one.get_interp_name() for one in segments if one["p_type"] == "PT_INTERP"), ""
    )
    if interpreter:
        needed = [tag.needed for one in dynamic for tag in one.iter_tags("DT_NEEDED")]
        raise ConfigError(
            f"{path} is linked dynamically: it wants {interpreter} and {', '.join(needed)}, "
            f"so the board would say '{path.name}: not found'",
            hint=_link(path, arch),
        )


def _is_library(elf: Any, segments: list[Any]) -> bool:
    """A shared object that asks for no interpreter, and is no static-pie program either.

    The linker marks the latter with DF_1_PIE (elf.h).
    """
    if elf["e_type"] != "ET_DYN" or any(one["p_type"] == "PT_INTERP" for one in segments):
        return False
    flags = [
        tag["d_val"]
        for one in segments
        if one["p_type"] == "PT_DYNAMIC"
        for tag in one.iter_tags("DT_FLAGS_1")
    ]
    return not any(value & DF_1_PIE for value in flags)


def _machine(elf: Any) -> str:
    name = str(elf["e_machine"])
    return {"EM_X86_64": "x86-64", "EM_386": "i386", "EM_ARM": "32-bit ARM"}.get(
        name, name.removeprefix("EM_")
    )


def _link(path: Path, arch: Arch) -> str:
    return f"link it statically for the board: {arch.compiler} -static -o {path.name} {path.stem}.c"
