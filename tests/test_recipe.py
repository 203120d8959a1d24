"""Recipes: a board and what is added to it, from a name, a file or a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import recipe
from rootfs_tool.board import Board
from rootfs_tool.checks import Program
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import Recipe
from rootfs_tool.sources.file import LocalFile


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of one's own with an overlay in it, outside of which we are."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("ROOTFS_TOOL_PATH", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "overlay").mkdir()
    return tmp_path


def mistakes(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        recipe.find(str(path))
    return [line.removeprefix(f"{path.parent}/") for line in str(caught.value).splitlines()]


RIGHT = """
    board = "qemu-aarch64"
    overlay = ["overlay"]
    modules = ["virtio_net", "virtio_rng"]
    cmdline = "quiet"
    [network]
    hostname = "other"
    [[source]]
    type = "file"
    path = "hello.txt"
    to = "/etc/hello"
    [[check]]
    type = "program"
    file = "/bin/hello"
"""


def test_a_board_is_a_recipe_with_nothing_added() -> None:
    found, file = recipe.find("qemu-aarch64")
    board, path = Board.find("qemu-aarch64")
    assert (found, file) == (Recipe(board=board), path)
    assert found.all_images == board.image
    assert found.all_modules == ("virtio_blk", *board.modules)


def test_a_recipe(here: Path) -> None:
    (here / "recipe.toml").write_text(RIGHT)
    (here / "hello.txt").touch()
    found, file = recipe.find("../recipe.toml")
    board, _ = Board.find("qemu-aarch64")
    assert file == Path("../recipe.toml")
    assert found.overlay == (Path("../overlay"),)
    assert found.all_modules == ("virtio_blk", "virtio_net", "virtio_rng")
    assert found.source == (LocalFile(path=Path("../hello.txt"), to="/etc/hello"),)
    assert found.all_sources == (*board.source, *found.source)
    assert found.check == (Program(file=Path("/bin/hello")),)
    assert found.board.network.hostname == "other"
    assert found.board.network.interface == board.network.interface
    assert found.board.kernel_cmdline == "quiet console=ttyAMA0,115200"


def test_its_images_replace_the_boards(here: Path) -> None:
    text = 'board = "qemu-aarch64"\n[[image]]\ntype = "cpio"\ncompression = "none"\n'
    (here / "recipe.toml").write_text(text)
    found, _ = recipe.find(str(here / "recipe.toml"))
    assert found.all_images == found.image != found.board.image


def test_a_build_holds_its_recipe(here: Path) -> None:
    (here / "recipe.toml").write_text(RIGHT)
    (here / "hello.txt").touch()
    found, _ = recipe.find(str(here / "recipe.toml"))
    (here / "out").mkdir()
    (here / "out" / "recipe.json").write_text(recipe.dumps(found, here / "out"))
    assert recipe.find(str(here / "out")) == (found, here / "out" / "recipe.json")


def test_a_build_is_used_from_everywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with names that are not absolute, as a person types them, and through a link."""
    (here / "recipe.toml").write_text(RIGHT)
    (here / "hello.txt").touch()
    (here / "a build" / "below").mkdir(parents=True)
    (here / "link").symlink_to("a build/below")
    monkeypatch.chdir(here)
    found, _ = recipe.find("recipe.toml")
    text = recipe.dumps(found, Path("link"))
    assert str(here) not in text
    Path("link", "recipe.json").write_text(text)
    assert recipe.find("link") == (found, Path("link/recipe.json"))
    monkeypatch.chdir(here / "a build")
    again, _ = recipe.find(str(here / "link"))
    assert again.overlay == (Path("../overlay"),)
    assert again.check == found.check, "an absolute name stays"
    assert again.source == (LocalFile(path=Path("../hello.txt"), to="/etc/hello"),)


def test_a_build_finds_what_lies_beside_where_a_link_leads(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``..`` of a link is not the directory that the link is in; other links keep their names."""
    (here / "real" / "deep").mkdir(parents=True)
    (here / "real" / "over").mkdir()
    (here / "current").symlink_to("overlay")
    (here / "other").mkdir()
    (here / "other" / "link").symlink_to("../real/deep")
    (here / "real" / "deep" / "r.toml").write_text(
        'board = "qemu-aarch64"\noverlay = ["../over", "../../current"]\n'
    )
    monkeypatch.chdir(here)
    found, _ = recipe.find("other/link/r.toml")
    out = here / "out"
    out.mkdir()
    (out / "recipe.json").write_text(recipe.dumps(found, out))
    over, current = recipe.find("out")[0].overlay
    assert over.samefile("real/over")
    assert current.samefile("overlay")

    (here / "r.toml").write_text('board = "qemu-aarch64"\noverlay = ["out/../current"]\n')
    (out / "recipe.json").write_text(recipe.dumps(recipe.find("r.toml")[0], out))
    assert recipe.find("out")[0].overlay == (Path("current"),)


def test_a_boards_own_file(here: Path) -> None:
    (here / "mine.toml").write_text('name = "mine"\nextends = "qemu-aarch64"\n')
    found, file = recipe.find(str(here / "mine.toml"))
    assert found.board.name == "mine"
    assert file == here / "mine.toml"


def test_every_mistake_at_once(here: Path) -> None:
    text = """
        board = "qemu-aarch64"
        overlay = ["overlay", "gone", 5]
        netwrk = 1
        root-password = "secret"
        [network]
        hostname = "a b"
        [console]
        logn = "getty"
        [[check]]
        type = "comand"
        [[source]]
        type = "fil"
    """
    assert mistakes(here / "recipe.toml", text) == [
        f"recipe.toml: overlay[1]: there is no directory {here}/gone",
        'recipe.toml: console.logn: unknown key; did you mean "login"?',
        (
            "recipe.toml: network.hostname: must be a host name: up to 63 letters, digits and "
            'hyphens, no hyphen first or last, not "a b"'
        ),
        (
            "recipe.toml: root-password: must be a hash, never the password itself; this makes "
            "one: openssl passwd -6"
        ),
        'recipe.toml: source[0].type: unknown kind "fil"; did you mean "file"?',
        "recipe.toml: overlay[2]: must be a text in quotes, not 5",
        'recipe.toml: check[0].type: unknown kind "comand"; did you mean "command"?',
        'recipe.toml: netwrk: unknown key; did you mean "network"?',
    ]


def test_a_mistake_of_the_board_is_named_in_its_file(here: Path) -> None:
    (here / "cwd" / "boards").mkdir()
    board = here / "cwd" / "boards" / "mine.toml"
    board.write_text('name = "mine"\nextends = "qemu-aarch64"\nmodles = []\n')
    assert mistakes(here / "recipe.toml", 'board = "mine"\n[console]\nbaudrate = 1\n') == [
        "recipe.toml: console.baudrate: must be at least 50, not 1",
        f'{board.relative_to(here)}: modles: unknown key; did you mean "modules"?',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'board: is missing; such as board = "qemu-aarch64"'),
        ("board = 5", 'board: must be the name of a board, in quotes: "qemu-aarch64"'),
        (
            "[board]\nname = 'x'",
            'board: must be the name of a board, in quotes: "qemu-aarch64"',
        ),
        (
            "board = 'qemu-arch64'",
            (
                'board: no board is called "qemu-arch64"; did you mean "qemu-aarch64"?; there are '
                "qemu-aarch64, raspberrypi3, raspberrypi3-qemu, raspberrypi4, raspberrypizero2w"
            ),
        ),
        ("board = 'qemu-aarch64'\narch = 'x'", "arch: unknown key"),
    ],
)
def test_a_wrong_board(here: Path, text: str, said: str) -> None:
    assert mistakes(here / "recipe.toml", text) == [f"recipe.toml: {said}"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("qemu-arch64", 'no board is called "qemu-arch64"; did you mean "qemu-aarch64"?'),
        ("gone.toml", "gone.toml: no such file or directory"),
        ("no/such", "no/such: no such file or directory"),
        (".", ".: is a directory without a recipe.json"),
    ],
)
def test_what_is_no_recipe(here: Path, what: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe.find(what)
    assert str(caught.value) == said


def test_what_is_no_recipe_is_told_what_may_have_been_meant(here: Path) -> None:
    lab = here / "cwd" / "lab"
    lab.mkdir()
    for what, hint in (
        ("lab", "rootfs-tool build -o lab BOARD makes a build there"),
        ("lab.toml", "rootfs-tool boards lists what has a name; else name a file"),
    ):
        assert hint_of(what) == hint
    (lab / "recipe.toml").touch()
    assert hint_of("lab") == "did you mean lab/recipe.toml?"
    assert hint_of("lab/recpie.toml") == 'did you mean "recipe.toml"?'


def hint_of(what: str) -> str | None:
    with pytest.raises(ConfigError) as caught:
        recipe.find(what)
    return caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"board": 5}', "\xff"])
def test_a_damaged_build(here: Path, text: str) -> None:
    (here / "recipe.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"recipe\.json"):
        recipe.find(str(here))
