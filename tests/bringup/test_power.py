"""A board on the desk that is brought up from no power at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import machine
from tests.command import outcomes, rootfs_tool, the_report

RECIPE = """\
board = "qemu-aarch64"
[network]
interface = []

[[target]]
type = "attached"
console = "{console}"

[target.power]
cycle = "sh -c 'echo $TOKEN >>{directory}/switched; {directory}/relay on'"

[[target]]
type = "qemu"
machine = "virt"
"""


@pytest.mark.parametrize("console_is", ["in the recipe", "an option"])
def test_its_power_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console_is: str
) -> None:
    monkeypatch.setenv("TOKEN", "the-plug's-password")
    directory, recipe = tmp_path / "machine", tmp_path / "recipe.toml"
    console = f"exec:{machine.build(directory, on=False)}"
    named = console_is == "in the recipe"
    written = console if named else "/dev/no-such-port"
    recipe.write_text(RECIPE.format(console=written, directory=directory))
    option = [] if named else ["--console", console]
    ran = rootfs_tool("bringup", recipe, *option, "-o", tmp_path / "out")
    assert outcomes(the_report(tmp_path / "out"))["boot and log in"] == "passed", ran.said
    assert "✓ power cycle" in ran.stderr
    assert (directory / "switched").read_text() == "the-plug's-password\non\n"
    (transcript,) = (tmp_path / "out" / "runs").glob("*/console.log")
    assert "U-Boot 2025.01" in transcript.read_text()


def test_power_that_does_not_come(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    console = f"exec:{machine.build(tmp_path / 'machine', on=False)}"
    recipe.write_text(RECIPE.format(console=console, directory="/no/such"))
    ran = rootfs_tool("bringup", recipe, "-o", tmp_path / "out")
    assert ran.status == 5, ran.said
    assert "/no/such/relay" in ran.stderr
