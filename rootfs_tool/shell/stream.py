"""What a board sends, as it comes: kept, and watched for what goes wrong on the board."""

from __future__ import annotations

import time
from contextlib import suppress

from rootfs_tool.console.base import Console
from rootfs_tool.console.tail import Tail
from rootfs_tool.errors import ConsoleClosed
from rootfs_tool.events import note
from rootfs_tool.shell import disaster
from rootfs_tool.shell.incident import Incident, Watcher

_REST = 0.12  # seconds of silence after which the lines that follow a disaster have all come
_REST_AT_MOST = 0.4  # seconds: it is to be named soon, on a slow line too
_NO_END = frozenset({"reboot", "reset", "fallback"})  # where a boot is under way

GOODBYE = b"\n0 leave\\:0 leave\n"
"""What ends the agent of whoever left it behind."""


class Stream:
    def __init__(self, console: Console) -> None:
        self.held = bytearray()
        """What has come and is no answer, yet."""

        self.lost = False
        """Whether the board has gone: closed, panicked, restarted or silent."""

        self.suspicion: Incident | None = None
        """What may have stopped the board, seen, and no answer from the agent since."""

        self.incidents: list[Incident] = []
        """What went wrong and was survived, without the lines that came after it."""

        self.booting = True
        """Whether a boot is what we wait for, and no news."""

        self.asked_for = False
        """Whether what runs was told to restart the board."""

        self.watcher = Watcher()
        self.console = console
        self._news: list[Incident] = []
        self._tail = Tail()

    @property
    def tail(self) -> str:
        """The last twenty lines that the board sent."""
        return self._tail.text()

    def raw_tail(self) -> bytes:
        """The last 16 KiB as they came."""
        return self._tail.raw()

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
        self._take(data)
        self.held += data
        return data

    def receive(self, timeout: float) -> bool:
        """The same where no agent answers yet; False when nothing came."""
        data = self.read(timeout)
        self.watch()
        return bool(data)

    def forget(self) -> None:
        """Drop what is held."""
        self.held.clear()

    def boot_is_over(self) -> None:
        """What the board says from here on of a restart is news."""
        self.booting = False
        self.suspicion = None

    def _take(self, data: bytes) -> None:
        self._tail.add(data)
        self._news += self.watcher.feed(data)

    def _closed(self, error: ConsoleClosed) -> Exception:
        self.lost = True
        # A machine that ends may take the last of its panic with it, but not the reason for it.
        self._news += self.watcher.end()
        last = [one for one in self._news if one.fatal] or [
            one for one in self.watcher.incidents[-2:] if one.kind in disaster.PANICS
        ]
        for incident in last:
            if incident.kind in disaster.PANICS:
                return disaster.panic(incident, self.raw_tail(), self.tail)
        return ConsoleClosed(str(error), tail=self.tail, hint=error.hint)

    def watch(self) -> None:
        """Judge what has been seen since the last time.

        While the board boots, raises what names it when nothing can run on it any more. Later it
        becomes the suspicion, which an answer of the agent's disproves: it may have been a
        program's output, and the mark before that damaged.
        """
        news, self._news = self._news, []
        for incident in news:
            if incident.kind == "fallback" or (self.booting and incident.kind in _NO_END):
                continue
            if incident.fatal:
                self.suspicion = incident
                if incident.certain and self.booting:
                    self.give_up()
            elif incident.certain or self.booting:
                self.incidents.append(incident)
                note(disaster.said(incident))
                if incident.severe and not self.booting:
                    self.suspicion = incident

    def give_up(self) -> None:
        """Raise the error for what we suspect, when the rest of its lines are here."""
        assert self.suspicion is not None
        self.lost = True
        incident, self.suspicion = self.suspicion, None
        if incident.kind not in _NO_END:
            until = time.monotonic() + _REST_AT_MOST
            with suppress(ConsoleClosed):
                while time.monotonic() < until and (data := self.console.read(_REST)):
                    self._take(data)
        incident = next(
            (one for one in reversed(self.watcher.incidents) if one.line == incident.line), incident
        )
        raise disaster.error(incident, self.raw_tail(), self.tail, wanted=self.asked_for)
