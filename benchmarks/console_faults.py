"""Ten thousand commands on lines with every fault at once: an answer is the truth, or none."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.console_table import Table
from tests.shell.line import pty_board
from tests.shell.noise import Faults, Noise
from tests.shell.trial import trial

CHECKOUT = Path(__file__).parent.parent
RESULTS = CHECKOUT / "build" / "console" / "faults.jsonl"
CHUNK = 50  # commands on one line
TOGETHER = 10  # lines for each processor: they wait most of the time
LIMIT = 2400.0  # seconds
PROGRAMS = ("busybox sh", "busybox sh", "dash -i", "bash --norc")


def mixed(seed: int) -> tuple[Faults, str]:
    """A line of its own for every seed, and the shell behind it."""
    luck = random.Random(seed)

    def odds(*each: float) -> float:
        return luck.choice(each)

    def noise(**more: float) -> Noise:
        return Noise(
            lost=odds(0, 0.0002, 0.002, 0.01),
            flipped=odds(0, 0.0002, 0.001),
            inserted=odds(0, 0.0002, 0.001),
            halted=odds(0, 0, 0.0003),
            **more,
        )

    from_board = noise(message=odds(0, 0.0005, 0.005), restarted=odds(0, 0, 0.00003))
    rate = luck.choice((0, 11520, 92160))
    faults = Faults(seed=seed, to_board=noise(), from_board=from_board, rate=rate)
    return faults, luck.choice(PROGRAMS)


def chunk(seed: int) -> dict[str, object]:
    """How CHUNK commands went, as it is kept."""
    begun = time.monotonic()
    faults, program = mixed(seed)
    with (
        tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary,
        pty_board(Path(temporary), faults, program) as relay,
    ):
        tally = trial(relay, Path(temporary), seed=seed, count=CHUNK)
        happened = dict(relay.counts)
    return {
        "seed": seed,
        "right": tally.right,
        "wrong": tally.wrong,
        "refused": dict(tally.refused),
        "attached": tally.attached,
        "faults": happened,
        "seconds": round(time.monotonic() - begun, 1),
    }


def campaign(table: Table, commands: int) -> None:
    """Go on where an earlier run of the same code ended; what is known stays in build/."""
    code = _code()
    done = {one["seed"]: one for one in _kept() if one["code"] == code}
    seeds = range(-(-commands // CHUNK))
    begun = time.monotonic()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file, ProcessPoolExecutor(_workers()) as pool:
        running = [pool.submit(chunk, seed) for seed in seeds if seed not in done]
        try:
            for future in as_completed(running, timeout=LIMIT):
                one = {**future.result(), "code": code}
                done[one["seed"]] = one
                file.write(json.dumps(one) + "\n")
                file.flush()
        except TimeoutError:
            pool.shutdown(cancel_futures=True)
    _report(table, [done[seed] for seed in seeds if seed in done], time.monotonic() - begun)


def _report(table: Table, chunks: list[dict[str, object]], seconds: float) -> None:
    right, wrong = 0, []
    faults: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for one in chunks:
        assert isinstance(one["right"], int)
        assert isinstance(one["wrong"], list)
        assert isinstance(one["faults"], dict)
        assert isinstance(one["refused"], dict)
        right += one["right"]
        wrong += one["wrong"]
        faults.update(one["faults"])
        refused.update(one["refused"])
    given = len(chunks) * CHUNK
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"faults: {dict(faults)}; {seconds:.0f} s")
    for words, count in refused.most_common(8):
        print(f"no answer, {count} times: {words}")
    said = {"ours": f"{right} right, {len(wrong)} WRONG"}
    table.row(f"{given} commands under mixed faults", said, "0 wrong", not wrong)


def _workers() -> int:
    return TOGETHER * (os.cpu_count() or 1)


def _kept() -> list[dict[str, object]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def _code() -> str:
    """A digest of all that a result depends on."""
    files = [
        *sorted((CHECKOUT / "rootfs_tool" / "shell").glob("*.*")),
        *(CHECKOUT / "tests" / "shell" / name for name in ("line.py", "noise.py", "trial.py")),
        Path(__file__),
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
