"""``boards`` and ``render``, as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from rootfs_tool import paths
from tests.firmware.cards import card, pi3

CHECKOUT = Path(__file__).parent.parent.parent
BOARDS = [
    *("qemu-aarch64", "raspberrypi3", "raspberrypi3-qemu", "raspberrypi4"),
    "raspberrypizero2w",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROOTFS_TOOL_PATH", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    return tmp_path


def tool(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rootfs_tool", *argv], capture_output=True, text=True, check=False
    )


def test_the_list_of_boards(here: Path) -> None:
    done = tool("boards")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == BOARDS
    assert done.stdout == tool("boards", "list").stdout
    rows = json.loads(tool("boards", "list", "--json").stdout)
    assert [row["name"] for row in rows] == BOARDS
    assert Path(rows[0]["file"]) == paths.packaged("boards") / "qemu-aarch64.toml"


def test_a_board_that_cannot_be_read_is_in_the_list_all_the_same(here: Path) -> None:
    (here / "boards").mkdir()
    (here / "boards" / "bad.toml").write_text("= 1")
    done = tool("boards")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("bad ")


def test_a_board_is_shown_with_the_file_of_every_line(here: Path) -> None:
    done = tool("boards", "show", "raspberrypi3-qemu")
    assert done.returncode == 0
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert 'device = "ttyS1" # raspberrypi3.toml' in lines
    assert 'kernel-name = "usb0" # raspberrypi3-qemu.toml' in lines
    assert "# boots with: panic=-1 root=/dev/mmcblk0p2 console=ttyS1,115200" in lines
    table = json.loads(tool("boards", "show", "raspberrypi3-qemu", "--json").stdout)
    assert table["console"]["device"] == "ttyS1"
    assert Path(table["origins"]["arch"]).name == "raspberrypi3.toml"


def test_every_shipped_board_is_fine(here: Path) -> None:
    done = tool("boards", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(BOARDS)


def test_every_mistake_of_every_file(here: Path) -> None:
    (here / "one.toml").write_text('name = "one"\nextends = "qemu-aarch64"\nmodles = []\n')
    (here / "two.toml").write_text('board = "qemu-aarch64"\n[console]\nlogin = "gety"\n')
    done = tool("boards", "check", "one.toml", "qemu-aarch64", "two.toml", "raspberypi4")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [f"{paths.packaged('boards')}/qemu-aarch64.toml: ok"]
    assert [line for line in done.stderr.splitlines() if line] == [
        'error: one.toml: modles: unknown key; did you mean "modules"?',
        'two.toml: console.login: must be "shell" or "getty", not "gety"; did you mean "getty"?',
        'no board is called "raspberypi4"; did you mean "raspberrypi4"?; there are '
        + ", ".join(BOARDS),
    ]


def test_the_schema_is_one(here: Path) -> None:
    done = tool("boards", "schema")
    assert done.returncode == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(done.stdout))


def test_render_prints_what_it_would_write(here: Path) -> None:
    done = tool("render", "qemu-aarch64")
    assert (done.returncode, done.stderr) == (0, "")
    shown = {
        part.partition(" <==\n")[0]: part.partition(" <==\n")[2].removesuffix("\n")
        for part in done.stdout.split("==> ")[1:]
    }
    written = tool("render", "qemu-aarch64", "-o", "out dir")
    assert written.returncode == 0
    files = [Path(line) for line in written.stdout.splitlines()]
    assert {f"/{file.relative_to('out dir')}": file.read_text() for file in files} == shown
    assert (here / "out dir/etc/init.d/S40network").stat().st_mode & 0o7777 == 0o755
    assert (here / "out dir/etc/shadow").stat().st_mode & 0o7777 == 0o600
    assert tool("render", "qemu-aarch64", "-o", "out dir").returncode == 0


def test_render_of_a_recipe(here: Path) -> None:
    (here / "recipe.toml").write_text('board = "qemu-aarch64"\nmodules = ["virtio_blk"]\n')
    assert "    modprobe virtio_blk || failed=1\n" in tool("render", "recipe.toml").stdout


def test_render_of_no_board(here: Path) -> None:
    done = tool("render", "qemu-arch64")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "did you mean" in done.stderr


def test_render_where_nothing_can_be_written(here: Path) -> None:
    (here / "out").write_text("")
    done = tool("render", "qemu-aarch64", "-o", "out/x")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr or "File exists" in done.stderr


def test_an_image_is_told_from_a_profile_by_what_is_in_it(here: Path) -> None:
    image = card(here, pi3())
    done = tool("boards", "check", str(image), "raspberrypi4")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{image}: ok, for Raspberry Pi 3 Model B, Raspberry Pi 3 Model B+",
        f"{paths.packaged('boards')}/raspberrypi4.toml: ok",
    ]


def test_every_mistake_of_an_image(here: Path) -> None:
    image = card(here, {**pi3(), "bootcode.bin": None, "kernel8.img": None})
    done = tool("boards", "check", str(image))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: {image}: there is no bootcode.bin, a file of the firmware that it starts from",
        f"{image}: config.txt:2: there is no kernel kernel8.img",
    ]


def test_an_image_for_the_board_that_is_named(here: Path) -> None:
    image = card(here, pi3())
    done = tool("boards", "check", "--board", "raspberrypi4", str(image))
    assert done.returncode == 2
    assert f"{image}: there is no start4.elf" in done.stderr
    done = tool("boards", "check", "--board", "qemu-aarch64", str(image))
    assert done.returncode == 2
    assert "qemu-aarch64: the profile has no [firmware]" in done.stderr


def test_an_image_that_tells_no_board(here: Path) -> None:
    image = card(here, {"readme": "x"})
    done = tool("boards", "check", str(image))
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {image}: nothing in it tells which board it is for; --board NAME says it\n"
    )
