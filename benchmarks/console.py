"""Our shell on a console beside labgrid's and pexpect's: one board image, in turn, in one run.

``python -m benchmarks.console [GROUP…] [--quick]``; without a group, all of them. Each tool gets a
fresh machine in each group, asks the same things of it, and what it answers is compared byte for
byte. The number in brackets is our time over theirs. A tool that does not answer within a bounded
wait has "never" in its column.

tbot, the third tool of its kind, has no package: what is called so on the Python package index is
another program.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import console_board as board
from benchmarks import console_end, console_faults, console_start
from benchmarks import console_peers as peers
from benchmarks.console_peers import Answer, Tool
from benchmarks.console_table import TOOLS, Table, told
from tests.qemu import powered
from tests.shell.noise import QUIET, Faults, Noise

BAUD_115200 = 11520  # bytes a second
BOOT = 60.0  # seconds to attach
STOP = 60.0  # seconds that a peer goes on for, whatever is left
LARGE = 5_000_000  # bytes
NUMBERS = b"".join(b"%d\n" % number for number in range(1, 41))
# A message every so many microseconds; a sleep is a process, and takes a while itself.
STORMS = {"16/s": ("<4>", 54000), "60/s": ("<4>", 9000), "emergencies": ("<0>", 54000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """``count`` commands of a tool that is to be right; ``out`` is the board's image."""

    out: Path
    table: Table
    count: int
    quick: bool

    def on_a_board(
        self, name: str, work: Callable[[Tool], None], faults: Faults | None = None
    ) -> str:
        """Attach a tool to a fresh machine, behind a bad line perhaps; "" or what went wrong."""
        with ExitStack() as stack:
            machine = stack.enter_context(powered(self.out))
            port = machine.port
            if faults is not None:
                port = stack.enter_context(board.behind(port, faults)).path
            tool = stack.enter_context(peers.tool(name, port))
            machine.start()
            attached = tool.attach(BOOT)
            if attached.error:
                return f"no start: {attached.error}"
            work(tool)
        return ""


def latency(run: Run) -> None:
    """Round trips on a quiet line."""
    count = 20 if run.quick else 100
    numbers = b"".join(b"%d\n" % number for number in range(1, 15001))
    found: dict[str, dict[str, float | None]] = {"true": {}, "echo": {}, "77 kB": {}}
    for name in TOOLS:

        def work(tool: Tool, name: str = name) -> None:
            found["true"][name] = _median([tool.run("true", 10) for _ in range(count)], b"")
            found["echo"][name] = _median(
                [tool.run("echo hello", 10) for _ in range(count)], b"hello\n"
            )
            found["77 kB"][name] = _median([tool.run("seq 15000", 60) for _ in range(7)], numbers)

        run.on_a_board(name, work)
    run.table.ratio("`true`, median", found["true"], {"labgrid": 1 / 3, "pexpect": 1 / 2})
    run.table.ratio("`echo hello`, median", found["echo"], {})
    run.table.ratio("77 kB of output, median", found["77 kB"], {"labgrid": 0.25})


def _median(answers: list[Answer], output: bytes) -> float | None:
    if any(answer.error or answer.output != output for answer in answers):
        return None
    return statistics.median(answer.seconds for answer in answers)


def storms(run: Run) -> None:
    """Kernel messages in the middle of everything."""
    for words, (level, pause) in STORMS.items():
        said: dict[str, str] = {}
        right = 0
        storm = (
            f"(i=0; while usleep {pause}; do i=$((i+1)); echo '{level}storm' $i of the bench; done"
            " >/dev/kmsg) >/dev/null 2>&1 </dev/null &"
        )
        for name in TOOLS:
            count = run.count if name == "ours" else min(run.count, 100)
            tally: Counter[str] = Counter()

            def work(
                tool: Tool, storm: str = storm, tally: Counter[str] = tally, count: int = count
            ) -> None:
                tool.run(storm, 10)
                begun = time.monotonic()
                while sum(tally.values()) < count and _goes_on(tool, begun):
                    tally[_judged(tool.run("seq 40; (exit 3)", 10))] += 1

            failed = run.on_a_board(name, work)
            said[name] = failed or _counted(tally)
            right = tally["right"] if name == "ours" else right
        run.table.row(f"kernel messages, {words}", said, f"{run.count} right", right == run.count)


def _goes_on(tool: Tool, begun: float) -> bool:
    """Ours goes on to the end, however long it takes."""
    return not tool.gone and (tool.name == "ours" or time.monotonic() < begun + STOP)


def _judged(answer: Answer) -> str:
    if answer.error:
        return "none"
    return "right" if (answer.status, answer.output) == (3, NUMBERS) else "WRONG"


def _counted(tally: Counter[str]) -> str:
    return ", ".join(f"{tally[kind]} {kind}" for kind in ("right", "WRONG", "none") if tally[kind])


def loss(run: Run) -> None:
    """A line of 115200 baud that loses what is sent to the board, as a UART without flow control.

    The last row loses what comes from the board too.
    """
    count = 15 if run.quick else 60
    free: dict[str, float] = {}
    for lost, from_board in ((0.0, 0.0), (0.002, 0.0), (0.01, 0.0), (0.002, 0.002)):
        said: dict[str, str] = {}
        met = True
        for name in TOOLS:
            answers: list[Answer] = []

            def work(tool: Tool, answers: list[Answer] = answers) -> None:
                begun = time.monotonic()
                while len(answers) < count and _goes_on(tool, begun):
                    answers.append(tool.run("seq 40; (exit 3)", 10))

            faults = Faults(
                seed=1,
                to_board=Noise(lost=lost) if lost else QUIET,
                from_board=Noise(lost=from_board) if from_board else QUIET,
                rate=BAUD_115200,
            )
            failed = run.on_a_board(name, work, faults)
            tally = Counter(_judged(answer) for answer in answers)
            median = statistics.median([answer.seconds for answer in answers] or [0.0])
            free.setdefault(name, median)
            said[name] = failed or f"{tally['right']}/{len(answers)}, {told(median)}"
            if name == "ours":
                met = tally["right"] == count and median <= 2 * free[name]
        goal = "all right, 2 x loss-free" if lost else "all right"
        where = "each way" if from_board else "to the board"
        run.table.row(f"{lost:.1%} of the bytes lost {where}", said, goal, met)


def large(run: Run) -> None:
    """Five megabytes, against what the machine's port can carry."""
    size = LARGE // 5 if run.quick else LARGE
    digits = size // 8
    output = b"".join(b"%07d\n" % number for number in range(digits))
    make = f"seq -w 0 9999999 | head -n {digits} >/tmp/large"
    seconds: dict[str, float | None] = {}
    for name in TOOLS:

        def work(tool: Tool, name: str = name) -> None:
            tool.run(make, 100)
            answer = tool.run("cat /tmp/large", 150)
            seconds[name] = None if answer.output != output else answer.seconds

        run.on_a_board(name, work)
        seconds.setdefault(name, None)
    raw = console_end.raw_rate(run.out, make, len(output))
    ours = seconds["ours"]
    words = f"{size / 1e6:.0f} MB of output, raw {raw:.1f} s"
    said = {name: "never" if one is None else f"{one:.1f} s" for name, one in seconds.items()}
    if ours is not None:
        said["ours"] += f" ({ours / raw:.2f} raw)"
    run.table.row(words, said, "1.10 x raw, whole", ours is not None and ours <= 1.1 * raw)


GROUPS: dict[str, Callable[[Run], None]] = {
    "latency": latency,
    "first": lambda run: console_start.first(run.out, run.table, 2 if run.quick else 5),
    "storms": storms,
    "loss": loss,
    "large": large,
    "end": lambda run: console_end.ends(run.out, run.table),
    "states": lambda run: console_start.states(run.out, run.table),
    "faults": lambda run: console_faults.campaign(run.table, 200 if run.quick else 10_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], metavar="GROUP")
    parser.add_argument("--quick", action="store_true", help="a fraction of everything")
    parser.add_argument("--cache", type=Path, default=Path("build") / "console")
    options = parser.parse_args()
    table = Table()
    out = board.build(options.cache.resolve())
    run = Run(out=out, table=table, count=30 if options.quick else 334, quick=options.quick)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    table.head()
    for group in options.groups or GROUPS:
        GROUPS[group](run)
    print(f"load {os.getloadavg()[0]:.1f}")
    if table.missed:
        sys.exit(f"missed: {'; '.join(table.missed)}")


if __name__ == "__main__":
    main()
