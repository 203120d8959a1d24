"""The same report in its three forms."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console

from rootfs_tool.bringup import CheckResult, Report
from rootfs_tool.diagnosis.base import Diagnosis
from rootfs_tool.report.files import save, to_json, to_junit
from rootfs_tool.report.terminal import draw

PASSED = CheckResult(name="ping host", outcome="passed", seconds=0.1, message="answers")
FAILED = CheckResult(
    name="run a.out",
    outcome="failed",
    seconds=2,
    message="exited 3",
    hint="mend it",
    output="\0x\n",
)
EXPLAINED = CheckResult(
    name="command echo_client",
    outcome="failed",
    seconds=0.1,
    message="exited 1, not 0\nconnect to 127.0.0.1: error 101",
    hint="a guess",
    diagnoses=(
        Diagnosis(
            rule="lo-down",
            cause="[bold]lo[/bold] is down",
            mend="on the board: ifconfig lo 127.0.0.1 up",
            evidence=("connect to 127.0.0.1: error 101", "lo: down, no IPv4 address"),
        ),
    ),
)
BROKEN = CheckResult(
    name="routes", outcome="broken", seconds=9, message="no answer", output="last words"
)
SKIPPED = CheckResult(name="later", outcome="skipped", seconds=0, message="the console was lost")
REPORT = Report(
    board="some-board",
    started=0,
    seconds=12,
    results=(PASSED, FAILED, BROKEN, SKIPPED),
    logs={"spawn server": "[red]not markup[/red]\n"},
    timeline=(),
)


def test_the_exit_code_is_that_of_the_worst_result() -> None:
    assert REPORT.exit_code == 7
    assert replace(REPORT, results=(PASSED, FAILED, SKIPPED)).exit_code == 1
    assert replace(REPORT, results=(PASSED, SKIPPED)).exit_code == 0


def test_json_has_all_of_it(tmp_path: Path) -> None:
    loaded = json.loads(to_json(REPORT))
    assert [one["outcome"] for one in loaded["results"]] == [
        "passed",
        "failed",
        "broken",
        "skipped",
    ]
    assert loaded["results"][1]["output"] == "\0x\n"
    assert loaded["exit_code"] == 7
    save(REPORT, tmp_path / "report.json")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert json.loads((tmp_path / "report.json").read_text()) == loaded


def test_junit_counts_and_carries_control_bytes_as_replacements() -> None:
    suite = ET.fromstring(to_junit(REPORT))
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    failed = suite.findall("testcase")[1]
    assert failed.findtext("failure") == "exited 3\nmend it"
    assert failed.findtext("system-out") == "\ufffdx\n"


def test_the_terminal_shows_what_is_wrong_and_what_mends_it() -> None:
    text = io.StringIO()
    Console(file=text, width=100).print(draw(REPORT))
    for words in ("exited 3", "hint: mend it", "last words", "[red]not markup[/red]", "skipped"):
        assert words in text.getvalue()


def test_a_cause_stands_beneath_its_failure_with_what_shows_and_what_mends_it() -> None:
    report = replace(REPORT, results=(EXPLAINED,))
    screen = io.StringIO()
    Console(file=screen, width=100, highlight=False, soft_wrap=True).print(draw(report))
    assert screen.getvalue().split("error 101\n")[1].splitlines()[:3] == [
        "  cause: [bold]lo[/bold] is down",
        "    | lo: down, no IPv4 address",
        "  mend: on the board: ifconfig lo 127.0.0.1 up",
    ]
    assert "a guess" not in screen.getvalue()
    again = replace(report, results=(EXPLAINED, replace(EXPLAINED, name="second")))
    screen = io.StringIO()
    Console(file=screen, width=100, highlight=False, soft_wrap=True).print(draw(again))
    assert screen.getvalue().count("is down") == 1
    assert screen.getvalue().endswith("  cause: the same as of command echo_client\n")
    (one,) = json.loads(to_json(report))["results"][0]["diagnoses"]
    assert one["rule"] == "lo-down"
    assert one["evidence"][1] == "lo: down, no IPv4 address"
    assert "mend: on the board: ifconfig lo 127.0.0.1 up" in to_junit(report)
