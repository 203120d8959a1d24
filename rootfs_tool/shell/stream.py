"""What a board sends, as it comes: kept, and watched for the last words of a kernel."""

from __future__ import annotations

import time
from contextlib import suppress

from rootfs_tool.console.base import Console
from rootfs_tool.console.tail import Tail
from rootfs_tool.errors import ConsoleClosed
from rootfs_tool.shell import disaster


class Stream:
    def __init__(self, console: Console) -> None:
        self.held = bytearray()
        """What has come and is no answer, yet."""

        self.lost = False
        """Whether the board has gone: closed, panicked, restarted or silent."""

        self.suspicion: str | None = None
        """What a board says when it goes down, seen, and no answer from the agent since."""

        self.watched = 0
        self.console = console
        self._tail = Tail()

    @property
    def tail(self) -> str:
        """The last twenty lines that the board sent."""
        return self._tail.text()

    def write(self, data: bytes) -> None:
        self.console.write(data)

    def read(self, timeout: float) -> bytes:
        """Take in what comes within ``timeout`` seconds; it is added to ``held`` too.

        Raises ConsoleClosed with the last lines, and KernelPanic when that is what they say.
        """
        try:
            data = self.console.read(max(0.0, timeout))
        except ConsoleClosed as error:
            raise self._closed(error) from None
        if data:
            self._tail.add(data)
            self.held += data
        return data

    def receive(self, timeout: float) -> bool:
        """The same where no agent answers yet; False when nothing came."""
        data = self.read(timeout)
        if data:
            self.watch(None)
        return bool(data)

    def forget(self) -> None:
        """Drop what is held."""
        self.held.clear()
        self.watched = 0

    def _closed(self, error: ConsoleClosed) -> Exception:
        self.lost = True
        # A machine that ends may take the last of its panic with it, but not the reason for it.
        if any(one.search(self._tail.raw()) for one in (disaster.PANIC, disaster.FIRST)):
            return disaster.panic(self._tail.raw(), self.tail)
        return ConsoleClosed(str(error), tail=self.tail, hint=error.hint)

    def watch(self, body: int | None) -> None:
        """Look for the last words of a kernel in what has come since the last look.

        From the offset ``body`` in ``held`` on it may be the output of a program.
        """
        start = max(0, self.watched - disaster.LONGEST)
        self.watched = len(self.held)
        in_body = self.watched if body is None else body
        for phrase in (disaster.PANIC, disaster.REBOOT):
            if found := phrase.search(self.held, start):
                self.suspicion = found[0].decode(errors="replace")
                if phrase is disaster.PANIC and found.start() < in_body:
                    self.give_up()

    def give_up(self) -> None:
        """Raise the error for what we suspect, when the rest of its lines are here."""
        self.lost = True
        phrase, self.suspicion = self.suspicion or "", None
        until = time.monotonic() + 2
        with suppress(ConsoleClosed):
            while time.monotonic() < until and (data := self.console.read(0.2)):
                self._tail.add(data)
        if disaster.PANIC.match(phrase.encode()):
            raise disaster.panic(self._tail.raw(), self.tail)
        raise disaster.rebooted(phrase, self.tail)
