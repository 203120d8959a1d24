"""The terminal that a person types at: every key as it is pressed, and its settings put back."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

PREFIX = 0x14  # Ctrl-T, as in tio
SYSRQ = "B"  # the key that takes one more


class Keyboard:
    def __init__(self, descriptor: int) -> None:
        """Whatever ``descriptor`` is; what is no terminal is left alone."""
        self.descriptor = descriptor
        self.is_terminal = os.isatty(descriptor)
        self._found = termios.tcgetattr(descriptor) if self.is_terminal else None

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Nothing that is typed means anything to this host's kernel (termios(3), cfmakeraw)."""
        try:
            if self._found is not None:
                tty.setraw(self.descriptor, termios.TCSADRAIN)
            yield
        finally:
            self._put_back()

    @contextmanager
    def whole_lines(self) -> Iterator[None]:
        """Within `raw`: as the terminal was found, so that a person can be asked something."""
        self._put_back()
        try:
            yield
        finally:
            tty.setraw(self.descriptor, termios.TCSADRAIN)

    def _put_back(self) -> None:
        if self._found is not None:
            # At once: one that has stopped would never drain. One that has gone needs nothing.
            with suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self._found)


@dataclass(frozen=True, slots=True)
class Command:
    """A key pressed after the prefix; ``sysrq`` is what the kernel's SysRq shall do."""

    key: str
    sysrq: bytes = b""


class Keys:
    """Tells what is for the board from what is for us."""

    def __init__(self) -> None:
        self._after = ""

    def feed(self, typed: bytes) -> Iterator[bytes | Command]:
        """Bytes to send and commands, in the order typed; the prefix twice sends it once."""
        plain = bytearray()
        for byte in typed:
            if not self._after and byte != PREFIX:
                plain.append(byte)
                continue
            command = self._step(byte)
            if command is not None:
                if plain:
                    yield bytes(plain)
                    plain.clear()
                yield command
        if plain:
            yield bytes(plain)

    def _step(self, byte: int) -> bytes | Command | None:
        after, self._after = self._after, ""
        match after:
            case "":
                self._after = "prefix"
                return None
            case "prefix" if byte == PREFIX:
                return bytes([PREFIX])
            case "prefix" if chr(byte) == SYSRQ:
                self._after = SYSRQ
                return None
            case "prefix":
                return Command(chr(byte))
            case _:
                return Command(SYSRQ, bytes([byte]))
