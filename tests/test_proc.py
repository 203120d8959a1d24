"""Host programs end when we do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rootfs_tool import proc

# What a build runs apt as: it writes to a directory that the next build will use.
PROGRAM = """
from rootfs_tool import proc
proc.run("sh", "-c", "echo $$ >new && mv new pid && exec sleep 60", bound=True)
"""


# Its program sends us what Ctrl-C does when we tell it to end, and does not end.
INTERRUPTED = """
import os, time
from rootfs_tool import proc
script = '''
    trap 'kill -INT $PPID' TERM
    sh -c 'trap "" TERM; echo $$ >new; mv new pid; sleep 60; :' &
    while :; do wait; done
'''
with proc.running("sh", "-c", script) as child:
    while child.poll() is None and not os.path.exists("pid"):
        time.sleep(0.02)
"""

# In a PID namespace of its own, where the next number can be said (proc(5), ns_last_pid).
REUSED = """
import subprocess
from rootfs_tool import proc
with proc.running("true") as child:
    child.wait()
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(child.pid - 1))
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stranger = subprocess.Popen(["cat"], **pipes, start_new_session=True)
    assert stranger.pid == child.pid
assert stranger.communicate(b"here") == (b"here", None), "we have ended a stranger"
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


@pytest.mark.parametrize("waits", [True, False])
def test_also_when_the_program_itself_ended_first(tmp_path: Path, waits: bool) -> None:
    script = "sleep 60 & echo $! >new; mv new pid; exit 3"
    deadline = time.monotonic() + 20
    with proc.running("sh", "-c", script, cwd=tmp_path) as child:
        if waits:
            child.wait(20)
        else:  # until it has ended, but is still there to be asked how
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        pid = (tmp_path / "pid").read_text().strip()
        assert alive(pid)
    assert child.returncode == 3
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_also_when_we_are_interrupted_while_it_takes_its_time(tmp_path: Path) -> None:
    deadline = time.monotonic() + 20
    us = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=20,
        check=False,
    )
    assert "KeyboardInterrupt" in us.stderr
    pid = (tmp_path / "pid").read_text().strip()
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.root
def test_nobody_else_who_has_its_number_by_then_is_ended() -> None:
    done = subprocess.run(
        [
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            sys.executable,
            "-c",
            REUSED,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
