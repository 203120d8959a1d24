"""What is happening now: steps begin and end, notes pass by, and whoever listens draws them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Kind = Literal["begin", "end", "fail", "note", "output"]


@dataclass(frozen=True, slots=True)
class Event:
    """``time`` is in seconds since the epoch; ``seconds`` is a finished step's duration."""

    time: float
    kind: Kind
    text: str
    depth: int
    seconds: float | None = None


Listener = Callable[[Event], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())
_depth: ContextVar[int] = ContextVar("depth", default=0)


def _emit(kind: Kind, text: str, seconds: float | None = None) -> None:
    event = Event(time.time(), kind, text, _depth.get(), seconds)
    for listener in _listeners.get():
        listener(event)


def note(text: str) -> None:
    """Say one line that a person should see, whatever is going on."""
    _emit("note", text)


def output(text: str) -> None:
    """Pass on what a program on the board wrote, as it comes."""
    _emit("output", text)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Name a piece of work that a person would want to see start and finish."""
    _emit("begin", text)
    token, start = _depth.set(_depth.get() + 1), time.monotonic()
    kind: Kind = "fail"
    try:
        yield
        kind = "end"
    finally:
        _depth.reset(token)
        _emit(kind, text, time.monotonic() - start)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear every event until the block ends."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
