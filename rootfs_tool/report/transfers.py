"""The transfers that are going on, as a table that stays below the lines of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rootfs_tool.flash.disk import in_words
from rootfs_tool.printable import printable
from rootfs_tool.tftpd.base import Transfer

_ROWS = 20  # of those that have most to go, or a terminal would scroll
_PER_SECOND = 4


def prepare() -> None:
    """Draw for nobody, so that all is loaded that a table needs: later it may not be ours to read.

    A server that was started as root, from root's home, becomes a user who can't go there.
    """
    one = Transfer(
        peer="",
        name="",
        write=False,
        size=1,
        sent=1,
        seconds=1,
        retransmissions=1,
        blksize=512,
        windowsize=1,
        note="",
    )
    Console(file=StringIO(), force_terminal=True).print(table([one]))


@contextmanager
def live(transfers: Callable[[], Sequence[Transfer]]) -> Iterator[Callable[[str], None]]:
    """Draw on stderr, a terminal, until the block ends; what is given prints a line above."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        console.print(Text(line))

    drawing = Live(
        get_renderable=lambda: table(transfers()),
        console=console,
        refresh_per_second=_PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with drawing:
        yield say


def table(transfers: Sequence[Transfer]) -> RenderableType:
    """Who, what, how far and how fast; those with most to go first."""
    if not transfers:
        return Text("no transfer", style="dim")
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("board", "", "file"):
        drawn.add_column(title, no_wrap=True)
    for title in ("done", "of", "rate", "blksize", "window", "resent"):
        drawn.add_column(title, justify="right", no_wrap=True)
    for one in sorted(transfers, key=_left, reverse=True)[:_ROWS]:
        size = one.size or 0
        drawn.add_row(
            Text(one.peer),
            "writes" if one.write else "reads",
            Text(printable(one.name)),
            f"{one.sent / size:.0%}" if size else "",
            in_words(size) if one.size is not None else "",
            f"{in_words(int(one.rate))}/s",
            str(one.blksize),
            str(one.windowsize),
            str(one.retransmissions or ""),
        )
    if len(transfers) > _ROWS:
        drawn.add_row(Text(f"and {len(transfers) - _ROWS} more", style="dim"))
    return drawn


def _left(one: Transfer) -> int:
    return (one.size or 0) - one.sent
