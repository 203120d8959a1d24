"""Record tests/data/diagnosis anew, from a booted board: python -m tests.diagnosis.record."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rootfs_tool.diagnosis import asking
from rootfs_tool.diagnosis.chains import diagnose
from tests.diagnosis.conftest import FaultyBoard, booted
from tests.diagnosis.fault import HOST, Fault
from tests.diagnosis.faults import FAULTS

DATA = Path(__file__).parent.parent / "data" / "diagnosis"


def record() -> None:
    """All of them, or those that are named, from a board for each set of packages."""
    wanted = [one for one in FAULTS if not sys.argv[1:] or str(one) in sys.argv[1:]]
    for packages in dict.fromkeys(one.packages for one in wanted):
        with tempfile.TemporaryDirectory() as place, booted(Path(place), packages) as board:
            for fault in wanted:
                if fault.packages == packages:
                    _write_down(fault, board)


def _write_down(fault: Fault, board: FaultyBoard) -> None:
    said, subject = board.fail(fault)
    text = board.snapshot(said, subject, fault)
    board.undo(fault)
    (DATA / f"{fault}.txt").write_text(f"{said.rstrip()}\n==> end of what was said <==\n{text}")
    seen = asking.read(text, said, subject, network=fault.network, seen_host=HOST)
    sys.stdout.write(f"--- {fault}\n{said.rstrip()}\n")
    for one in diagnose(seen):
        sys.stdout.write(f"  [{one.rule}] {one.cause}\n    mend: {one.mend}\n")
        sys.stdout.write("".join(f"      | {line}\n" for line in one.evidence))


if __name__ == "__main__":
    record()
