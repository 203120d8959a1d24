"""What became of each transfer, as a line for a person or for a program, on a thread of its own.

A terminal that is stopped with Ctrl-S, or a pipe that nobody reads, must not stop the boards.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from rootfs_tool.flash.disk import in_words
from rootfs_tool.printable import printable
from rootfs_tool.tftpd.base import Event, Kind

_WAITING = 10_000  # events that may wait to be told
_LAST = 2.0  # seconds to tell what is still waiting at the end


class Log:
    """Called with every event, passes them to ``tell``, and calls ``tick`` every few seconds.

    ``broken`` is called once if whoever reads has gone, and the error is in ``error``.
    """

    def __init__(
        self,
        tell: Callable[[Event], None],
        *,
        tick: Callable[[], None],
        every: float,
        broken: Callable[[], None],
    ) -> None:
        self._tell, self._tick, self._every, self._broken = tell, tick, every, broken
        self._waiting: queue.Queue[Event | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.error: OSError | None = None
        self.lost = 0

    def __call__(self, event: Event) -> None:
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.lost += 1

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Tell what there still is to tell, unless nobody takes it."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_LAST)
        self._thread.join(_LAST)

    @property
    def stuck(self) -> bool:
        """Whether nobody takes what is being told."""
        return self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._until_the_end()
        except OSError as error:
            self.error = error
            self._broken()

    def _until_the_end(self) -> None:
        next_tick = time.monotonic() + self._every
        while True:
            try:
                event = self._waiting.get(timeout=max(0.0, next_tick - time.monotonic()))
                if event is None:
                    return
                self._tell(event)
            except queue.Empty:
                pass
            if time.monotonic() >= next_tick:
                self._tick()
                next_tick = time.monotonic() + self._every


def as_line(event: Event) -> str:
    """One line, such as "10.0.0.2:1069 read Image, 36.1 MB in 0.40 s, 90.2 MB/s, blksize 1428"."""
    what = f"{event.peer} {'write' if event.write else 'read'} {printable(event.name)}"
    note = f" ({printable(event.note)})" if event.note else ""
    hint = f"; {event.hint}" if event.hint else ""
    match event.kind:
        case Kind.BEGUN:
            return f"{what}{note} begins"
        case Kind.ENDED:
            return f"{what}{note}, {_how(event)}"
        case Kind.FAILED:
            return f"{what}{note} failed after {_how(event)}: {printable(event.reason)}{hint}"
        case Kind.REFUSED:
            return f"{what}{note} refused: {printable(event.reason)}{hint}"


def _how(event: Event) -> str:
    parts = [f"{in_words(event.sent)} in {event.seconds:.2f} s"]
    if event.kind is Kind.ENDED and event.seconds:
        parts.append(f"{in_words(int(event.sent / event.seconds))}/s")
    parts.append(f"blksize {event.blksize} windowsize {event.windowsize}")
    if event.retransmissions:
        parts.append(f"{event.retransmissions} resent")
    return ", ".join(parts)


def as_json(event: Event) -> str:
    """One line of JSON: the fields of Event, and ``time`` in seconds since the epoch."""
    return json.dumps({"time": round(time.time(), 3), **asdict(event)})
