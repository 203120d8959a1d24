"""Starting a board anew, and seeing that it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import machine
from tests.command import rootfs_tool

RECIPE = """\
board = "qemu-aarch64"

[[target]]
type = "attached"
console = '''exec:{console}'''

[target.power]
on = "{relay} on"
off = "{relay} off"
off-seconds = 0.1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A board on the desk whose power a relay switches; it is on."""
    return written(tmp_path, RECIPE)


def written(tmp_path: Path, text: str, *, on: bool = True) -> Path:
    directory = tmp_path / "machine"
    console = machine.build(directory, on=on)
    path = tmp_path / "recipe.toml"
    path.write_text(text.format(console=console, relay=directory / "relay"))
    return path


def switched(recipe: Path) -> list[str]:
    said = recipe.parent / "machine" / "switched"
    return said.read_text().split() if said.exists() else []


def test_by_its_power(recipe: Path) -> None:
    ran = rootfs_tool("reset", "--board", recipe, "--wait")
    assert ran.status == 0, ran.said
    assert ran.stdout.startswith("restarted by a power cycle in ")
    assert "U-Boot 2025.01" in ran.stdout
    assert "✓ boot and log in" in ran.stderr
    assert switched(recipe) == ["off", "on"]


def test_by_one_command_for_both(tmp_path: Path) -> None:
    cycle = "cycle = \"sh -c '{relay} off; {relay} on'\"\n"
    recipe = written(tmp_path, RECIPE.replace("off-seconds = 0.1\n", cycle))
    ran = rootfs_tool("reset", "--board", recipe, "--power")
    assert ran.status == 0, ran.said
    assert switched(recipe) == ["off", "on"]


def test_by_reboot_where_there_is_no_break(tmp_path: Path) -> None:
    console = machine.build(tmp_path / "machine")
    ran = rootfs_tool("reset", "--console", f"exec:{console}", "--wait")
    assert ran.status == 0, ran.said
    assert "break" in ran.stderr
    assert "restarted by a command at its prompt" in ran.stdout
    assert "reboot: Restarting system" in ran.stdout


def test_the_way_that_was_asked_for_alone(recipe: Path) -> None:
    ran = rootfs_tool("reset", "--board", recipe, "--sysrq")
    assert ran.status == 7, ran.said
    assert "break" in ran.stderr
    assert switched(recipe) == []


def test_a_relay_that_fails(tmp_path: Path) -> None:
    recipe = written(tmp_path, RECIPE.replace("relay} on", "relay} stuck"))
    ran = rootfs_tool("reset", "--board", recipe)
    assert ran.status == 5, ran.said
    assert "relay stuck exited 3\nthe relay is stuck" in ran.stderr


def test_a_relay_of_another_board(tmp_path: Path) -> None:
    """Nothing comes, for the board at this console goes on as it was."""
    recipe = written(tmp_path, RECIPE.replace("relay} o", "relay} no-o"))
    ran = rootfs_tool("reset", "--board", recipe, "--timeout", "1")
    assert ran.status == 7, ran.said
    assert "do the power commands switch this board's port" in ran.stderr


def test_a_board_without_a_reboot_command(tmp_path: Path) -> None:
    console = machine.build(tmp_path / "machine")
    (tmp_path / "machine" / "reboot").unlink()
    ran = rootfs_tool("reset", "--console", f"exec:{console}", "--reboot")
    assert ran.status == 7, ran.said
    assert "it said 'reboot: not found'" in ran.stderr


def test_no_power_to_switch() -> None:
    ran = rootfs_tool("reset", "--console", "exec:sh -i", "--power")
    assert ran.status == 2, ran.said
    assert "[target.power]" in ran.stderr


def test_a_mistake_in_the_power_table(tmp_path: Path) -> None:
    power = 'cycle = "relay off; relay on"\noff = "./relay off"\non = "relay \'on"\n'
    recipe = written(tmp_path, RECIPE[: RECIPE.index("on = ")] + power)
    ran = rootfs_tool("reset", "--board", recipe)
    assert ran.status == 2, ran.said
    for words in (
        "target[0].power.cycle: ",
        "is not run by a shell",
        "target[0].power.off: ",
        "on: No closing quotation",
    ):
        assert words in ran.stderr


def test_by_reset_in_u_boot(tmp_path: Path) -> None:
    """The prompt alone is an imitation: what is typed at it has to be U-Boot's own."""
    loader = tmp_path / "loader"
    loader.write_text(
        "printf '=> '; while read -r line; do case $line in\n"
        "*reset) printf 'resetting ...\\r\\n\\r\\nU-Boot 2025.01 (Jan 06 2025)\\r\\n';;\n"
        "*) printf '=> ';; esac; done"
    )
    ran = rootfs_tool("reset", "--console", f"exec:sh {loader}")
    assert ran.status == 0, ran.said
    assert "U-Boot 2025.01" in ran.stdout
