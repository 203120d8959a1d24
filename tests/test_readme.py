"""The README's examples: every recipe in it is one, every option in it is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rootfs_tool import paths, recipe
from rootfs_tool.board import Board
from rootfs_tool.cli import COMMANDS
from rootfs_tool.cli.group import group

README = (paths.packaged("boards").parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with all that the examples name, and in it the directory that they lie in."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"ssh-ed25519 {'A' * 68} me\n")
    for name in ("boards", "overlay", "project"):
        (tmp_path / name).mkdir()
    for name in ("motd", "server.c", "queue.c"):
        (tmp_path / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", blocks("toml"), ids=lambda text: text.split("\n")[0])
def test_a_recipe_or_board(home: Path, text: str) -> None:
    if "extends" in text:
        (home / "boards" / "desk.toml").write_text(text)
        assert Board.find("desk")[0].name == "desk"
        return
    if not text.startswith("board"):
        text = f'board = "qemu-aarch64"\n{text}'
    for one in (text, with_its_comments(text)):
        (home / "recipe.toml").write_text(one)
        recipe.find("recipe.toml")


def with_its_comments(text: str) -> str:
    """The same with each line that is one commented-out key taken in, as a reader would."""
    return re.sub(r'^# (?=[a-z-]+ = ("[^"]*"|true|false)(\s+#.*)?$)', "", text, flags=re.MULTILINE)


def test_options() -> None:
    seen = [command for text in blocks("sh") for command in commands(text)]
    assert len(seen) > 40
    wrong = [shlex.join(words) for words in seen if not known(words)]
    assert not wrong


def commands(text: str) -> Iterator[list[str]]:
    """What is typed after each ``rootfs-tool``, comments, redirections and pipes left out."""
    for line in re.sub(r"\s+#.*", "", text).splitlines():
        if match := re.search(r"(?<![\w/])rootfs-tool (.*)", line):
            yield shlex.split(re.split(r"[<>|]", match[1])[0])


def known(words: list[str]) -> bool:
    """Whether there is such a command, with options as it takes them."""
    name, *rest = words
    if name not in COMMANDS:
        return False
    context = click.Context(group)
    command = group.get_command(context, name)
    if isinstance(command, click.Group):
        command, rest = command.get_command(context, rest[0]), rest[1:]
    if command is None:
        return False
    here = click.Context(command, **command.context_settings)
    try:
        command.make_parser(here).parse_args(rest)
    except click.UsageError:
        return False
    return True
