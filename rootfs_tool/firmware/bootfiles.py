"""The files of a boot partition by their names, as the Raspberry Pi's firmware looks for them."""

from __future__ import annotations

from pathlib import PurePosixPath

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry, Filesystem


class BootFiles:
    """Names are relative to the partition's root, and FAT does not tell capitals from small ones.

    Raises ConfigError if the file system is damaged.
    """

    def __init__(self, boot: Filesystem) -> None:
        self._boot = boot
        self._entries = {_key(entry.path): entry for entry in boot.entries()}

    def __contains__(self, name: str) -> bool:
        entry = self._entries.get(_key(name))
        return entry is not None and not entry.is_directory

    def size(self, name: str) -> int:
        """In bytes."""
        return self._entry(name).size

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a file, or its first ``most``. Raises ConfigError if it is not there."""
        found = b""
        for piece in self._boot.read(self._entry(name)):
            found += piece
            if most is not None and len(found) >= most:
                break
        return found[:most]

    def text(self, name: str) -> str:
        return self.read(name).decode(errors="replace")

    def _entry(self, name: str) -> Entry:
        if name not in self:
            raise ConfigError(f"there is no {name}")
        return self._entries[_key(name)]


def _key(name: str | PurePosixPath) -> str:
    return str(PurePosixPath("/", str(name).lstrip("/"))).lower()
