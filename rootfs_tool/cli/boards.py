"""``rootfs-tool boards``: the board profiles, where each comes from, and what is wrong in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rootfs_tool import board, recipe
from rootfs_tool.board import Board
from rootfs_tool.document import Document, Key
from rootfs_tool.errors import ConfigError
from rootfs_tool.firmware import RaspberryPi
from rootfs_tool.model import keys_of

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("boards", invoke_without_command=True)
@_JSON
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List, show and check board profiles."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_boards, as_json=as_json)


@command.command("list")
@_JSON
def list_boards(as_json: bool) -> None:
    """List every board with its file; of two with one name the first on the search path counts."""
    rows = [
        {"name": name, "description": _description(path), "file": str(path)}
        for name, path in board.known().items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    widths = [max((len(row[key]) for row in rows), default=0) for key in ("name", "description")]
    for row in rows:
        click.echo(f"{row['name']:{widths[0]}}  {row['description']:{widths[1]}}  {row['file']}")


@command.command("show")
@click.argument("name", metavar="BOARD")
@_JSON
def show(name: str, as_json: bool) -> None:
    """Show a board's profile as it is once everything that it extends is under it."""
    found, path = Board.find(name)
    document = board.read(path)
    if as_json:
        origins = {one: str(document.origin((one,))) for one in document.table}
        click.echo(json.dumps({**found.model_dump(mode="json"), "origins": origins}, indent=2))
        return
    click.echo(f"# {path}")
    click.echo(f"# boots with: {found.kernel_cmdline}")
    click.echo("\n".join(_toml(document)))


@command.command("check")
@click.argument("what", metavar="[FILE|NAME|IMAGE]...", nargs=-1)
@click.option("--board", "of", metavar="NAME", help="The board that an image is for.")
def check(what: tuple[str, ...], of: str | None) -> None:
    """Check board profiles, recipes and images, by default every board, and tell every mistake.

    An image, or a card in /dev, is checked as the board's firmware will read it. Which board it is
    for is told from its files, unless --board says it.
    """
    wrong = []
    for one in what or board.known():
        try:
            if _is_image(one):
                click.echo(f"{one}: {_check_image(Path(one), of)}")
            else:
                click.echo(f"{recipe.find(one)[1]}: ok")
        except ConfigError as error:
            wrong.append(f"{error}; {error.hint}" if error.hint else str(error))
    if wrong:
        raise ConfigError("\n".join(dict.fromkeys("\n".join(wrong).splitlines())))


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of a board's file, for editors."""
    click.echo(json.dumps(board.schema(), indent=2))


def _is_image(what: str) -> bool:
    """Whether it is a file or a disk with a NUL near its start, which TOML can't have."""
    try:
        with Path(what).open("rb") as file:
            return b"\0" in file.read(512)
    except OSError:
        return False


def _check_image(image: Path, of: str | None) -> str:
    """What there is to say of an image without a mistake. Raises ConfigError with every one."""
    found = RaspberryPi.of(image) if of is None else Board.find(of)[0].firmware
    if found is None:
        raise ConfigError(
            f"{of}: the profile has no [firmware], so there is nothing to check"
            if of
            else f"{image}: nothing in it tells which board it is for",
            hint=None if of else "--board NAME says it",
        )
    mistakes = found.check_card(image)
    if mistakes:
        raise ConfigError("\n".join(f"{image}: {one}" for one in mistakes))
    return f"ok, for {found.titles()}"


def _description(path: Path) -> str:
    try:
        return str(board.read(path).table.get("description", ""))
    except ConfigError:
        return f"(unreadable: rootfs-tool boards check {path.stem})"


def _toml(document: Document) -> Iterator[str]:
    """The document as TOML; where it is made of several files, every line says its own."""
    table = {name: document.table[name] for name in keys_of(Board) if name in document.table}
    rows = list(_rows(table, ()))
    several = len({document.origin(key) for _, key in rows if key}) > 1
    width = max(len(text) for text, _ in rows)
    for text, key in rows:
        if several and key:
            yield f"{text:{width}}  # {document.origin(key).name}"
        else:
            yield text


def _rows(table: dict[str, Any], at: Key, *, header: str = "") -> Iterator[tuple[str, Key]]:
    """Lines of TOML with the key that each is about; an empty key for what is only layout."""
    path = ".".join(str(part) for part in at if isinstance(part, str))
    if header:
        yield "", ()
        yield header.format(path), at
    for name, value in table.items():
        if not isinstance(value, dict) and not _is_tables(value):
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}", (*at, name)
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _rows(value, (*at, name), header="[{}]")
        elif _is_tables(value):
            for index, one in enumerate(value):
                yield from _rows(one, (*at, name, index), header="[[{}]]")


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
