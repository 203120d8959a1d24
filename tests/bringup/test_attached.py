"""A board on a cable: BusyBox in a network namespace, a pty its console, a veth its Ethernet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.conftest import PRIVATE
from tests.command import outcomes, rootfs_tool, the_report

pytestmark = pytest.mark.root

RECIPE = """\
board = "raspberrypi4"
[network]
hostname = "desk"
[[network.interface]]
name = "eth0"
address = "198.51.100.2/24"
"""

# the program, for those who do not wait ten seconds for an address that never comes
IMPATIENT = """
from rootfs_tool.checks.address import Address
from rootfs_tool.cli import main
Address.model_fields["wait"].default = 0.2
Address.model_rebuild(force=True)
main()
"""


def ip(*argv: str) -> None:
    subprocess.run(["ip", *argv], check=True)


@pytest.fixture
def cable() -> Iterator[str]:
    """The namespace at the other end of a cable whose end here is 198.51.100.1."""
    name = f"rt{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", "198.51.100.1/24", "dev", name)
        ip("link", "set", name, "up")
        yield name
        ip("link", "delete", name)  # the kernel takes its time over one in a namespace that goes
    finally:
        ip("netns", "delete", name)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def console(cable: str, setup: str) -> str:
    inside = f"{PRIVATE}; PATH=/mnt; {setup} exec sh"
    return f"exec:ip netns exec {cable} unshare --mount sh -c '{inside}'"


def test_a_board_is_brought_up_over_its_cable(cable: str, recipe: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho ran here\n")
    up = "ifconfig lo 127.0.0.1 up; ifconfig eth0 198.51.100.2 netmask 255.255.255.0 up;"
    argv: list[str | Path] = [
        "--console",
        console(cable, up),
        "-o",
        tmp_path / "out",
        "--run",
        str(script),
    ]
    ran = rootfs_tool("bringup", recipe, *argv)
    assert ran.status == 0, ran.said
    assert "ran here" in ran.stdout
    assert set(outcomes(the_report(tmp_path / "out")).values()) == {"passed"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs"]


def test_a_board_that_nobody_configured_fails_every_check_with_its_line(
    cable: str, recipe: Path, tmp_path: Path
) -> None:
    argv = ("bringup", recipe, "--console", console(cable, ""), "-o", tmp_path / "out")
    ran = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found = outcomes(the_report(tmp_path / "out"))
    assert found.pop("boot and log in") == "passed"
    assert set(found.values()) == {"failed"}
    assert "ifconfig eth0 198.51.100.2 netmask 255.255.255.0 up" in ran.stdout


def test_a_console_that_says_nothing_is_given_up(recipe: Path, tmp_path: Path) -> None:
    silent = "exec:sh -c 'trap : INT; while :; do sleep 1; done'"
    argv: list[str | Path] = ["--console", silent, "--boot-timeout", "2", "-o", tmp_path / "out"]
    ran = rootfs_tool("bringup", recipe, *argv)
    assert ran.status == 7, ran.said
    assert "no shell prompt came on the console within 2 s" in ran.stdout
    report = the_report(tmp_path / "out")
    assert report["results"][0]["outcome"] == "broken"
    assert {one["outcome"] for one in report["results"][1:]} == {"skipped"}


def test_a_serial_port_that_is_not_there(recipe: Path, tmp_path: Path) -> None:
    ran = rootfs_tool(
        "bringup", recipe, "--console", "serial:/dev/ttyUSB77", "-o", tmp_path / "out"
    )
    assert ran.status == 7, ran.said
    assert "/dev/ttyUSB77" in ran.said
    assert "Traceback" not in ran.said
