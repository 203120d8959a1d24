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


def compare(ours: Callable[[], object], peer: Callable[[], object], *, rounds: int) -> Ratio:
    """Run both ``rounds`` times, A B A B …, after one round that does not count."""
    pairs = [(_seconds(ours), _seconds(peer)) for _ in range(rounds + 1)][1:]
    return Ratio(
        ours=statistics.median(pair[0] for pair in pairs),
        peer=statistics.median(pair[1] for pair in pairs),
        ratio=statistics.median(pair[0] / pair[1] for pair in pairs),
    )


def _seconds(work: Callable[[], object]) -> float:
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
