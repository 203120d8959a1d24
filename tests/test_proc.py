"""Host programs end when we do."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rootfs_tool import proc

# What a build runs apt as: it writes to a directory that the next build will use.
PROGRAM = """
from rootfs_tool import proc
proc.run("sh", "-c", "echo $$ >new && mv new pid && exec sleep 60", bound=True)
"""


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_bound_program_does_not_outlive_us(tmp_path: Path) -> None:
    deadline = time.monotonic() + 20
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=tmp_path) as us:
        while not (tmp_path / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pid = (tmp_path / "pid").read_text().strip()
        assert alive(pid)
        us.kill()
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_program_has_started_ends_with_it(tmp_path: Path) -> None:
    """As make's shells and their compilers, also one that does not hear SIGTERM."""
    script = """
        sh -c 'trap "" TERM; echo $$ >raw; mv raw deaf; sleep 60; :' &
        sh -c 'echo $$ >new; mv new pid; sleep 60; :'
        :
    """
    deadline = time.monotonic() + 20
    with proc.running("sh", "-c", script, cwd=tmp_path) as child:
        while not ((tmp_path / "pid").exists() and (tmp_path / "deaf").exists()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert child.returncode is not None
    started = [(tmp_path / name).read_text().strip() for name in ("pid", "deaf")]
    while any(map(alive, started)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
