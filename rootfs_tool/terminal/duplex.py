"""Both ways of a console on threads of their own, so that a person's keys always work.

A screen that stands still does not stop the log, nor a line that takes nothing the way out.
"""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from rootfs_tool.console.base import Console
from rootfs_tool.events import Event, listening

_STEP = 0.1  # seconds between two looks at whether it is over
_LAST = 1.0  # seconds that a thread may take to end
_ROOM = 4096  # reads that may wait for a screen that stands still; then the board waits


@dataclass(frozen=True, slots=True)
class Failed:
    """``error`` came of reading, after which nothing more is read, or of something to `do`."""

    error: Exception
    reading: bool


Item = bytes | str | Failed


class Duplex:
    """What the board says and what there is to tell about it, in the order it happened.

    ``descriptor`` is readable (select(2)) when there is something to `take`, or something to `do`
    has been done.
    """

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        """``keep`` is called on a thread with every piece received, before anybody sees it."""
        self._keep = keep
        self._items: deque[Item] = deque()
        self._room = threading.Semaphore(_ROOM)
        self._over = threading.Event()
        self._work: queue.SimpleQueue[tuple[Callable[[], None], str] | None] = queue.SimpleQueue()
        self._asked = self._done = 0
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def noting(self) -> AbstractContextManager[None]:
        """Take in what is noted while the block runs, also by threads that begin in it."""
        return listening(self._heard)

    @contextmanager
    def running(self, console: Console) -> Iterator[None]:
        """Read from ``console``, and do what there is to do, while the block runs."""
        self._console = console
        threads = [_started(self._read), _started(self._do_all)]
        try:
            yield
        finally:
            self._over.set()
            self._room.release()
            self._work.put(None)
            for thread in threads:  # one that waits for an unplugged adapter ends with us
                thread.join(_LAST)

    def take(self) -> list[Item]:
        """What there is: bytes of the board, words for the person, and failures."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        taken = []
        while self._items:
            item = self._items.popleft()
            if isinstance(item, bytes):
                self._room.release()
            taken.append(item)
        return taken

    def send(self, data: bytes) -> None:
        """Write to the console, after all that was asked for before."""
        self.do(lambda: self._console.write(data))

    def send_break(self, then: bytes = b"") -> None:
        """Send a break, and ``then``, but not where there was no break: it would be typed."""

        def send() -> None:
            self._console.send_break()
            self._console.write(then)

        key = f" and {then.decode('latin-1')}" if then else ""
        self.do(send, f"break{key} sent")

    def do(self, work: Callable[[], None], said: str = "") -> None:
        """Have this done, after all that was asked for before, and ``said`` when it is."""
        self._asked += 1
        self._work.put((work, said))

    @property
    def busy(self) -> bool:
        """Whether something that was asked for has not been done yet."""
        return self._asked != self._done

    def _read(self) -> None:
        try:
            while not self._over.is_set():
                data = self._console.read(_STEP)
                if data:
                    self._keep(data)
                    self._room.acquire()
                    self._put(data)
        except Exception as error:  # whatever it is, the other thread has to know
            self._put(Failed(error, reading=True))

    def _do_all(self) -> None:
        while (asked := self._work.get()) is not None and not self._over.is_set():
            work, said = asked
            try:
                work()
                if said:
                    self._items.append(said)
            except Exception as error:  # as above
                self._items.append(Failed(error, reading=False))
            self._done += 1
            os.eventfd_write(self.descriptor, 1)

    def _heard(self, event: Event) -> None:
        if event.kind == "note":
            self._put(f"note: {event.text}")

    def _put(self, item: Item) -> None:
        self._items.append(item)
        os.eventfd_write(self.descriptor, 1)


def _started(work: Callable[[], None]) -> threading.Thread:
    """``work`` on a thread whose events are heard by who hears ours."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), daemon=True)
    thread.start()
    return thread
