"""What is happening now: steps begin and end, notes pass by, and whoever listens draws them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Kind = Literal["begin", "end", "fail", "note", "output", "progress"]


@dataclass(frozen=True, slots=True)
class Event:
    """``time`` is in seconds since the epoch; ``seconds`` is a finished step's duration.

    ``progress`` says how far the running step, whose text and depth it has, has come: ``done`` of
    ``total`` bytes in the ``seconds`` since it began.
    """

    time: float
    kind: Kind
    text: str
    depth: int
    seconds: float | None = None
    done: int = 0
    total: int = 0


Listener = Callable[[Event], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())
_depth: ContextVar[int] = ContextVar("depth", default=0)
_running: ContextVar[tuple[str, float]] = ContextVar("running", default=("", 0.0))


def _emit(kind: Kind, text: str, seconds: float | None = None) -> None:
    _tell(Event(time.time(), kind, text, _depth.get(), seconds))


def _tell(event: Event) -> None:
    for listener in _listeners.get():
        listener(event)


def note(text: str) -> None:
    """Say one line that a person should see, whatever is going on."""
    _emit("note", text)


def output(text: str) -> None:
    """Pass on what a program on the board wrote, as it comes."""
    _emit("output", text)


def progress(done: int, total: int) -> None:
    """Say how many bytes of how many the running step has behind it."""
    text, start = _running.get()
    seconds = time.monotonic() - start
    _tell(Event(time.time(), "progress", text, _depth.get() - 1, seconds, done, total))


@contextmanager
def step(text: str) -> Iterator[None]:
    """Name a piece of work that a person would want to see start and finish."""
    _emit("begin", text)
    start = time.monotonic()
    token, running = _depth.set(_depth.get() + 1), _running.set((text, start))
    kind: Kind = "fail"
    try:
        yield
        kind = "end"
    finally:
        _depth.reset(token)
        _running.reset(running)
        _emit(kind, text, time.monotonic() - start)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear every event until the block ends."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
