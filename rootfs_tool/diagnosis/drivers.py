"""Which module of the board's kernel drives a device: by the package, if this host still has it."""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from rootfs_tool import kmod, paths
from rootfs_tool.diagnosis.board import Device
from rootfs_tool.errors import ConfigError

Driver = tuple[str, str]  # the alias of a device, and the module that has it


def look(devices: Sequence[Device], release: str) -> tuple[Driver, ...]:
    """The modules for ``devices`` among the network drivers of the kernel ``release``.

    That is what `uname -r` says. Reading all their aliases takes a second or two; nothing is found
    where the kernel's package is no longer unpacked in the cache, or was never.
    """
    found: dict[str, str] = {}
    with suppress(ConfigError, OSError):  # no cache, or one that is being cleaned
        for module in _modules(release) if devices and release else ():
            for alias in _aliases(module):
                for one in devices:
                    if fnmatchcase(one.alias, alias):
                        found.setdefault(one.alias, kmod.canonical(module.name.partition(".")[0]))
    return tuple(found.items())


def _modules(release: str) -> Iterator[Path]:
    for directory in (paths.cache() / "unpacked").glob("*/files/"):
        for lib in ("usr/lib", "lib"):
            yield from sorted((directory / lib / "modules" / release).glob("**/net/**/*.ko*"))


def _aliases(module: Path) -> list[str]:
    """What the file has; none of one that is packed otherwise, or damaged."""
    content = module.read_bytes()
    with suppress(ConfigError, lzma.LZMAError):
        if module.suffix == ".xz":
            content = lzma.decompress(content)
        return [value for key, value in kmod.modinfo(content) if key == "alias"]
    return []
