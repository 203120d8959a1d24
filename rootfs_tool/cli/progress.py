"""Steps and notes on stderr, a board's program on stdout, while a command works."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from rootfs_tool.events import Event, listening

_CLEAR = "\r\x1b[K"


class Progress:
    """On a terminal the running step is a line that is written over; elsewhere only ended ones."""

    def __init__(self, programs: TextIO) -> None:
        self._programs = programs
        self._live = sys.stderr.isatty()
        self._open_line = False

    def __call__(self, event: Event) -> None:
        match event.kind:
            case "begin":
                self._running(f"{self._indent(event)}… {event.text}")
            case "progress":
                if self._live:
                    self._running(f"{self._indent(event)}… {event.text}", how_far(event))
            case "end":
                mark = click.style("✓", fg="green")
                self._line(f"{self._indent(event)}{mark} {event.text} ({event.seconds:.2f} s)")
            case "fail":
                mark = click.style("✗", fg="red")
                self._line(f"{self._indent(event)}{mark} {event.text} ({event.seconds:.2f} s)")
            case "note":
                self._line(f"{self._indent(event)}note: {event.text}")
            case "output":
                self._program(event.text)

    def _program(self, text: str) -> None:
        if self._live and not self._open_line:
            self._write(_CLEAR)
        self._programs.write(text)
        self._programs.flush()
        self._open_line = not text.endswith("\n")

    def _line(self, text: str) -> None:
        if self._open_line:
            self._programs.write("\n")
            self._programs.flush()
            self._open_line = False
        self._write(f"{_CLEAR if self._live else ''}{text}\n")

    def _running(self, text: str, state: str = "") -> None:
        """A line to be written over: cut to the terminal's width, as only one row can be."""
        if self._live:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            room = max(width - 1 - (len(state) + 1 if state else 0), 0)
            self._write(f"{_CLEAR}{f'{text[:room]} {state}'[: width - 1].rstrip()}")

    def _write(self, text: str) -> None:
        click.echo(text, err=True, nl=False)

    @staticmethod
    def _indent(event: Event) -> str:
        return "  " * event.depth


def how_far(event: Event) -> str:
    """How much of a step is done, at what rate, and when the rest will be."""
    from rootfs_tool.flash.disk import in_words  # for a flash only: a build need not load it

    percent = f"{event.done / max(event.total, 1):4.0%} of {in_words(event.total)}"
    if not event.done or not event.seconds:
        return percent
    rate = event.done / event.seconds
    return f"{percent}, {in_words(int(rate))}/s, {(event.total - event.done) / rate:.0f} s left"


@contextmanager
def progress(*, programs: TextIO | None = None) -> Iterator[None]:
    """Draw what happens until the block ends; ``programs`` is where their output goes."""
    drawing = Progress(programs or sys.stdout)
    with listening(drawing):
        yield
