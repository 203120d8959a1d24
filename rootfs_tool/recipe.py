"""Recipe: what you want in a board's rootfs, and what must be true once it runs."""

from __future__ import annotations

import json
from pathlib import Path

from rootfs_tool import board as boards
from rootfs_tool import document
from rootfs_tool.board import Board, ModuleName
from rootfs_tool.checks import AnyCheck
from rootfs_tool.document import Document
from rootfs_tool.errors import ConfigError
from rootfs_tool.images import AnyImage
from rootfs_tool.loading import load, placed
from rootfs_tool.model import Model
from rootfs_tool.sources import AnySource

# What a recipe may say in the board's place: these keys are laid over the board's profile.
OVER_BOARD = (
    *("cmdline", "console", "disk", "firmware", "kernel", "network", "root", "root-password"),
    *("suite", "target"),
)


class Recipe(Model):
    """What is built: a board, and what you add to it.

    In a recipe.toml ``board`` is a name, the keys of OVER_BOARD stand beside it, and paths are
    relative to the file. Here, and in the recipe.json of a build, the board is whole and the paths
    are as the loader made them.
    """

    board: Board
    """The board that it is for."""

    source: tuple[AnySource, ...] = ()
    """Where more of the rootfs comes from, after the board's own sources."""

    overlay: tuple[Path, ...] = ()
    """Directories laid over the rootfs at the end, in this order."""

    modules: tuple[ModuleName, ...] = ()
    """Kernel modules to load after the board's own."""

    image: tuple[AnyImage, ...] = ()
    """What the rootfs becomes, in the place of the board's images."""

    check: tuple[AnyCheck, ...] = ()
    """What to ask of the board once it runs."""

    @property
    def all_sources(self) -> tuple[AnySource, ...]:
        return (*self.board.source, *self.source)

    @property
    def all_modules(self) -> tuple[str, ...]:
        """In the order in which they are loaded, each once."""
        disk = self.board.disk.modules if self.board.disk else ()
        return tuple(dict.fromkeys((*disk, *self.board.modules, *self.modules)))

    @property
    def all_images(self) -> tuple[AnyImage, ...]:
        return self.image or self.board.image


def find(what: str) -> tuple[Recipe, Path]:
    """The recipe that WHAT names, and its file.

    ``what`` is a recipe.toml (or a board's .toml), a directory with the recipe.json of a build, or
    the name of a board, whose recipe is the board and nothing more. Raises ConfigError if it is
    none of them, or with every mistake in the file.
    """
    path = Path(what)
    if path.is_dir() and (path / "recipe.json").is_file():
        return _built(path / "recipe.json"), path / "recipe.json"
    if what not in boards.known() and (path.suffix == ".toml" or "/" in what or path.exists()):
        if path.is_dir():
            raise ConfigError(
                f"{what}: is a directory without a recipe.json", hint="build it first"
            )
        return _written(path), path
    board, file = Board.find(what)
    return Recipe(board=board), file


def _written(path: Path) -> Recipe:
    said = document.read(path)
    of_a_board = "name" in said.table or "extends" in said.table or path.parent.name == "boards"
    if "board" not in said.table and of_a_board:
        return Recipe(board=Board.load(path))
    own = said.without("board", *OVER_BOARD)
    name = said.table.get("board")
    if isinstance(name, str):
        try:
            file = boards.locate(name)
        except ConfigError as error:
            own = own.wrong(("board",), f"{error}; {error.hint}" if error.hint else str(error))
        else:
            own = own.beside(said.only(*OVER_BOARD).over(boards.read(file)).below("board"))
    elif name is not None:
        own = own.wrong(("board",), 'must be the name of a board, in quotes: "qemu-aarch64"')
    own = placed(Recipe, own)
    for index, overlay in enumerate(_overlays(own)):
        if isinstance(overlay, str) and "\0" not in overlay and not Path(overlay).is_dir():
            own = own.wrong(("overlay", index), f"there is no directory {overlay}")
    for index, source in _files(own):
        if not Path(source).is_file():
            own = own.wrong(("source", index, "path"), f"there is no file {source}")
    return load(Recipe, own, above="board", beside=OVER_BOARD)


def _overlays(own: Document) -> list[object]:
    written = own.table.get("overlay")
    return written if isinstance(written, list) else []


def _files(own: Document) -> list[tuple[int, str]]:
    """The paths of the sources that are files of this host."""
    written = own.table.get("source")
    sources = enumerate(written if isinstance(written, list) else [])
    return [
        (index, path)
        for index, one in sources
        if isinstance(one, dict) and one.get("type") == "file"
        if isinstance(path := one.get("path"), str) and "\0" not in path
    ]


def _built(path: Path) -> Recipe:
    try:
        table = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}", hint="build again") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is damaged: it holds no table", hint="build again")
    return load(Recipe, document.of(path, table))
