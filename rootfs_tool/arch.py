"""The many names of one CPU architecture."""

from __future__ import annotations

from enum import StrEnum


class Arch(StrEnum):
    aarch64 = "aarch64"

    @property
    def debian(self) -> str:
        """The name in Debian's archive."""
        return {Arch.aarch64: "arm64"}[self]

    @property
    def elf_machine(self) -> str:
        """``e_machine`` of its programs (elf.h)."""
        return {Arch.aarch64: "EM_AARCH64"}[self]

    @property
    def compiler(self) -> str:
        """Debian's cross-compiler for it."""
        return {Arch.aarch64: "aarch64-linux-gnu-gcc"}[self]
