"""Time two ways of doing the same thing in turn, and give their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Median seconds of each, and the median of the ratios pair by pair."""

    ours: float
    peer: float
    ratio: float


def compare(
    ours: Callable[[], object], peer: Callable[[], object], *, rounds: int, rest: float = 0
) -> Ratio:
    """Run both ``rounds`` times, A B A B …, after one round that does not count.

    ``rest`` is in seconds, before each run. Memory that a virtual machine frees goes back to its
    host within a second or so, and is slow to come again: without a rest, what starts at once
    after a large program has its memory for nothing, and what starts a moment later has not.
    """
    pairs = [(_seconds(ours, rest), _seconds(peer, rest)) for _ in range(rounds + 1)][1:]
    return Ratio(
        ours=statistics.median(pair[0] for pair in pairs),
        peer=statistics.median(pair[1] for pair in pairs),
        ratio=statistics.median(pair[0] / pair[1] for pair in pairs),
    )


def _seconds(work: Callable[[], object], rest: float) -> float:
    time.sleep(rest)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(name: str, peer: str, found: Ratio, goal: float) -> None:
    """One line for people: both medians, the ratio and what it should be at most."""
    verdict = "ok" if found.ratio <= goal else "MISSED"
    print(
        f"{name}: {found.ours * 1000:.0f} ms, {peer}: {found.peer * 1000:.0f} ms, "
        f"ratio {found.ratio:.2f} (at most {goal}) {verdict}"
    )
