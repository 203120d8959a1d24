"""Whatever a line does to what passes, an answer is the truth, or there is none."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.shell.line import pty_board
from tests.shell.noise import Faults, Noise
from tests.shell.trial import Tally, trial

ODDS = st.sampled_from([0.0, 0.0, 0.0, 1 / 5000, 1 / 1000])
NOISE = {"lost": ODDS, "flipped": ODDS, "inserted": ODDS, "halted": ODDS}
FAULTS = st.builds(
    Faults,
    seed=st.integers(0, 1 << 16),
    to_board=st.builds(Noise, **NOISE),
    from_board=st.builds(Noise, **NOISE, message=ODDS, restarted=st.just(0.0)),
    rate=st.sampled_from([0, 115200, 11520]),
)


LINES = st.lists(st.tuples(FAULTS, st.integers(0, 1 << 16)), min_size=8, max_size=8)


@settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])
@given(lines=LINES)
def test_no_fault_makes_a_wrong_answer(lines: list[tuple[Faults, int]]) -> None:
    """Eight lines at a time: most of it is waiting for what does not come."""
    with ThreadPoolExecutor(len(lines)) as pool:
        tallies = list(pool.map(_tally, lines))
    assert [wrong for tally in tallies for wrong in tally.wrong] == []
    assert sum(tally.right for tally in tallies) > 0


def _tally(line: tuple[Faults, int]) -> Tally:
    faults, seed = line
    with tempfile.TemporaryDirectory() as temporary, pty_board(Path(temporary), faults) as relay:
        return trial(relay, Path(temporary), seed=seed, count=4)
