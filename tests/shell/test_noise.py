"""The bad line does what it is told, and does it again."""

from __future__ import annotations

import random
from collections import Counter

from tests.shell.noise import Fault, Noise, Way

DATA = bytes(range(256)) * 40


def _passed(way: Way) -> bytes:
    way.waiting += DATA
    while way.waiting:
        way.step()
    return bytes(way.passed)


def _way(noise: Noise, *, rate: int = 0, fifo: int = 0, drain: float = 0.0) -> Way:
    return Way(noise, random.Random(7), rate, fifo, drain)


def test_a_good_line_changes_nothing() -> None:
    way = _way(Noise())
    assert _passed(way) == DATA
    assert not way.counts


def test_each_fault_is_of_its_own_kind_and_comes_again() -> None:
    kinds: dict[Fault, Noise] = {
        "lost": Noise(lost=0.01),
        "flipped": Noise(flipped=0.01),
        "inserted": Noise(inserted=0.01),
        "message": Noise(message=0.01),
    }
    for kind, noise in kinds.items():
        way, again = _way(noise), _way(noise)
        said = _passed(way)
        assert said == _passed(again)
        assert way.counts == again.counts == Counter({kind: way.counts[kind]})
        assert 60 < way.counts[kind] < 150
        match kind:
            case "lost":
                assert len(said) == len(DATA) - way.counts[kind]
            case "flipped":
                changed = [a ^ b for a, b in zip(said, DATA, strict=True) if a != b]
                assert len(changed) == way.counts[kind]
                assert all(bits.bit_count() == 1 for bits in changed)
            case "inserted":
                assert len(said) == len(DATA) + way.counts[kind]
            case _:
                assert len(said) > len(DATA) + 3 * way.counts[kind]


def test_a_fifo_that_is_not_emptied_in_time_loses() -> None:
    slow = _way(Noise(), rate=1_000_000, fifo=16, drain=0.5)
    said = _passed(slow)
    assert len(said) == len(DATA) - slow.counts["lost"]
    assert slow.counts["lost"] > len(DATA) // 4
    assert said.startswith(DATA[:16])
    assert _passed(_way(Noise(), rate=1_000_000, fifo=16, drain=1.0)) == DATA
