"""The main job on real parts: kernel, BusyBox, QEMU, serial console, TFTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.command import PROGRAM, Ran, outcomes, rootfs_tool, the_report

pytestmark = pytest.mark.qemu


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtUp:
    """What a bring-up said, its report, the directory of its run, and its report for JUnit."""

    ran: Ran
    report: dict[str, Any]
    run: Path
    junit: Path

    def result(self, name: str) -> dict[str, Any]:
        (found,) = [one for one in self.report["results"] if one["name"] == name]
        return dict(found)


@pytest.fixture(scope="module")
def brought_up(out: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> BroughtUp:
    """One on which all goes well."""
    where = tmp_path_factory.mktemp("all is well")
    body = 'printf "%s\\n" "$@"\nhead -c 1000000 /dev/zero | tr "\\0" x; echo'
    ran = rootfs_tool(
        *("bringup", out, "--junit", where / "junit.xml"),
        *("--run", quoted(programs / "hello")),
        *("--run", f"{script(where, body)} one 'two  three' '$HOME'"),
        *("--spawn", quoted(programs / "tcp_receiver"), "--run", quoted(programs / "tcp_sender")),
    )
    assert ran.status == 0, ran.said
    report, junit = the_report(out), where / "junit.xml"
    return BroughtUp(ran=ran, report=report, run=newest_run(out), junit=junit)


def test_hello_is_fetched_run_and_reported(brought_up: BroughtUp) -> None:
    assert "hello from qemu-aarch64: Linux" in brought_up.ran.stdout
    assert "exited 0" in brought_up.ran.stdout
    assert set(outcomes(brought_up.report).values()) == {"passed"}
    assert list(outcomes(brought_up.report)) == [
        "boot and log in",
        "loopback lo",
        "interface eth0",
        "routes",
        "ping host",
        "spawn tcp_receiver",
        "run hello",
        "run script one two  three $HOME",
        "run tcp_sender",
    ]
    assert "hello from qemu-aarch64" in brought_up.result("run hello")["output"]
    suite = ET.parse(brought_up.junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("9", "0", "0")


def test_the_transcript_has_the_whole_console_with_times(brought_up: BroughtUp) -> None:
    transcript = (brought_up.run / "console.log").read_text()
    assert "Linux version" in transcript
    assert "BusyBox" in transcript
    assert transcript.startswith("[")


def test_the_loopback_carries_the_classic_pair(brought_up: BroughtUp) -> None:
    log = brought_up.report["logs"]["spawn tcp_receiver"]
    assert "tcp_sender says: the loopback works" in log
    assert "tcp_receiver: done" in log


def test_arguments_and_a_megabyte_of_output_arrive_whole(brought_up: BroughtUp) -> None:
    said = brought_up.result("run script one two  three $HOME")["output"]
    assert said == "one\ntwo  three\n$HOME\n" + "x" * 1_000_000 + "\n"


# Without a default route the kernel has nowhere to send what goes to 127.0.0.1 and says error 101;
# with one it sends it there, where nobody answers.
NO_ROUTER = '[[network.interface]]\nname = "eth0"\naddress = "10.0.2.15/24"\n'


@pytest.mark.parametrize(
    ("interface", "words"), [(NO_ROUTER, "error 101: Network is unreachable"), ("", "no answer")]
)
def test_with_lo_down_the_pair_fails_and_the_reason_is_plain(
    variant: Callable[[str], Path], programs: Path, interface: str, words: str
) -> None:
    out = variant(f"[network]\nloopback = false\n{interface}")
    receiver, sender = quoted(programs / "tcp_receiver"), quoted(programs / "tcp_sender")
    ran = rootfs_tool("bringup", out, "--spawn", receiver, "--run", sender)
    assert ran.status == 1, ran.said
    assert "lo is down: every connect() to 127.0.0.1" in ran.stdout
    assert "on the board: ifconfig lo 127.0.0.1 up" in ran.stdout
    found = outcomes(the_report(out))
    assert found["loopback lo"] == "failed"
    assert found["run tcp_sender"] == "failed"
    assert found["interface eth0"] == "passed"
    assert words in the_report(out)["results"][-1]["output"]


def test_a_login_prompt_is_answered(variant: Callable[[str], Path]) -> None:
    out = variant('root-password = ""\n[console]\nlogin = "getty"\n')
    ran = rootfs_tool("bringup", out)
    assert ran.status == 0, ran.said
    assert "login: " in (newest_run(out) / "console.log").read_text()


def test_the_exit_status_of_the_program_is_the_answer_and_a_full_board_is_said(
    out: Path, tmp_path: Path, programs: Path
) -> None:
    fails = script(tmp_path, "[ $# = 0 ] || exit 3; dd if=/dev/zero of=/tmp/fill bs=64k; true")
    argv = ("--run", f"{fails} a 'b c'", "--run", fails, "--run", quoted(programs / "hello"))
    ran = rootfs_tool("bringup", out, "--json", *argv)
    assert ran.status == 1
    three, fill, hello = json.loads(ran.stdout)["results"][-3:]
    assert (three["outcome"], three["message"]) == ("failed", "exited 3")
    assert three["name"] == "run script a b c"
    assert (fill["name"], fill["outcome"]) == ("run script", "passed")
    assert hello["outcome"] == "failed"
    assert "/tmp has no room" in hello["message"]


def test_a_program_that_never_ends_is_killed_and_the_rest_goes_on(
    out: Path, tmp_path: Path, programs: Path
) -> None:
    hangs = script(tmp_path, "trap '' INT TERM; echo waiting; while :; do sleep 1; done")
    hello = quoted(programs / "hello")
    ran = rootfs_tool("bringup", out, "--timeout", "2", "--run", hangs, "--run", hello)
    assert ran.status == 1
    found = {one["name"]: one for one in the_report(out)["results"]}
    assert found["run script"]["outcome"] == "failed"
    assert "did not end within 2 s" in found["run script"]["message"]
    assert "waiting" in found["run script"]["output"]
    assert found["run hello"]["outcome"] == "passed"


def test_a_panic_is_named_at_once(out: Path, tmp_path: Path) -> None:
    crash = script(tmp_path, "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
    start = time.monotonic()
    ran = rootfs_tool("bringup", out, "--run", crash, "--run", crash)
    assert time.monotonic() - start < 40
    assert ran.status == 7
    assert "panic" in ran.stdout.lower()
    assert [one["outcome"] for one in the_report(out)["results"][-2:]] == ["broken", "skipped"]


def test_ctrl_c_leaves_nothing_behind(out: Path, tmp_path: Path) -> None:
    waits = script(tmp_path, "echo now running; sleep 100")
    for moment in ("… boot", "now running"):
        with subprocess.Popen(
            [PROGRAM, "bringup", out, "--run", waits],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            start_new_session=True,
        ) as ours:
            assert ours.stdout is not None
            if moment == "now running":
                assert any(moment.encode() in line for line in ours.stdout)
            else:
                wait_for_child(ours.pid)
            ours.send_signal(signal.SIGINT)
            assert ours.wait(20) == 130
        assert children_of_session(ours.pid) == []
        assert [path.name for path in tmp_path.iterdir()] == ["script"]
        assert (newest_run(out) / "report.json").is_file()


def test_kill_9_leaves_no_qemu(out: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [PROGRAM, "bringup", out, "--run", script(tmp_path, "echo now running; sleep 100")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as ours:
        assert ours.stdout is not None
        assert any(b"now running" in line for line in ours.stdout)
        (qemu,) = wait_for_child(ours.pid)
        ours.kill()
        ours.wait(10)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{qemu}/exe").exists():
        assert time.monotonic() < deadline, "QEMU outlived us"


def test_the_pi_s_twin_comes_up(tmp_path: Path, programs: Path) -> None:
    out = tmp_path / "out"
    hello = quoted(programs / "hello")
    ran = rootfs_tool("bringup", "raspberrypi3-qemu", "-o", out, "--run", hello, timeout=300)
    assert ran.status == 0, ran.said
    assert "interface eth0" in outcomes(the_report(out))


def quoted(path: Path) -> str:
    return f"'{path}'"


def script(directory: Path, body: str) -> str:
    path = directory / "script"
    path.write_text(f"#!/bin/sh\n{body}\n")
    return quoted(path)


def newest_run(out: Path) -> Path:
    return max((out / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def wait_for_child(pid: int) -> list[int]:
    """The children of a process, as soon as one of them is QEMU."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        qemus = [one for one in map(int, listed) if "qemu" in program_of(one)]
        if qemus:
            return qemus
    raise AssertionError("no QEMU was started")


def program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def children_of_session(session: int) -> list[str]:
    """Programs still alive that belong to a session or were started by its leader."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session or int(fields[1]) == session:
            found.append(program_of(int(entry.name)))
    return found
