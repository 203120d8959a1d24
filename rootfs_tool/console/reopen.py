"""A console that comes back: a USB adapter put in again, a serial server that restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConsoleClosed, ConsoleError
from rootfs_tool.events import note

REOPEN = 30.0  # seconds that it may stay away
_AGAIN = 0.1  # seconds between two looks
_SURE = 0.2  # seconds after which one that opened is there to stay: a server may hang up at once


class Reopening:
    def __init__(self, open_: Callable[[], Console], name: str) -> None:
        """Raises what ``open_`` does. ``name`` is what it is looked for by, for the notes."""
        self._open = open_
        self._name = name
        self._console: Console | None = open_()
        self._lock = threading.Lock()  # a reader and a writer may both find it gone
        self._baudrate: int | None = None
        self._ended: ConsoleClosed | None = None
        self._waiting = b""
        self._gone = 0.0

    def read(self, timeout: float) -> bytes:
        """As in Console. While the port is away nothing comes; ConsoleClosed after REOPEN s."""
        deadline = time.monotonic() + timeout
        while True:
            console = self._there(max(0.0, deadline - time.monotonic()))
            with self._lock:
                data, self._waiting = self._waiting, b""
            if data:
                return data
            if console is not None:
                try:
                    if data := console.read(max(0.0, deadline - time.monotonic())):
                        return data
                except ConsoleClosed as error:
                    self._went(console, error)
            if time.monotonic() >= deadline:
                return b""

    def write(self, data: bytes) -> None:
        """As in Console. While the port is away this waits; what was half sent is sent again."""
        while True:
            if console := self._there(REOPEN):
                try:
                    return console.write(data)
                except ConsoleClosed as error:
                    self._went(console, error)

    def send_break(self) -> None:
        if console := self._there(REOPEN):
            console.send_break()

    def set_baudrate(self, baudrate: int) -> bool:
        console = self._there(REOPEN)
        if console is None or not console.set_baudrate(baudrate):
            return False
        self._baudrate = baudrate
        return True

    def close(self) -> None:
        with self._lock:
            self._ended = ConsoleClosed(f"{self._name} is closed")
            console, self._console = self._console, None
        if console is not None:
            console.close()

    def _went(self, console: Console, error: ConsoleClosed) -> None:
        with self._lock:
            if self._ended is not None:
                raise self._ended
            if self._console is not console:
                return
            self._console = None
            self._gone = time.monotonic()
            with suppress(OSError):
                console.close()
            note(f"{error}; waiting up to {REOPEN:g} s for {self._name} to come back")

    def _there(self, seconds: float) -> Console | None:
        """The open console, if need be opened again within ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            with self._lock:
                if self._ended is not None:
                    raise self._ended
                if self._console is None:
                    self._try()
                if self._console is not None:
                    return self._console
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(_AGAIN, left))

    def _try(self) -> None:
        away = time.monotonic() - self._gone
        try:
            console = self._open()
            try:
                self._waiting = console.read(_SURE)
                if self._baudrate is not None:
                    console.set_baudrate(self._baudrate)
            except BaseException:
                console.close()
                raise
        except ConsoleError as error:
            if away > REOPEN:
                self._ended = ConsoleClosed(
                    f"{self._name} went away and did not come back within {REOPEN:g} s: {error}",
                    hint=error.hint,
                )
                raise self._ended from None
            return
        self._console = console
        note(f"{self._name} is back after {time.monotonic() - self._gone:.1f} s")
