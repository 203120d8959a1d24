"""Recipe: what you want in a board's rootfs, and what must be true once it runs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from rootfs_tool import board as boards
from rootfs_tool import document, initscripts
from rootfs_tool.account import SYSTEM, Users
from rootfs_tool.board import Board, ModuleName
from rootfs_tool.checks import AnyCheck
from rootfs_tool.document import Key, Table
from rootfs_tool.errors import ConfigError
from rootfs_tool.images import AnyImage, SdCard
from rootfs_tool.images.base import Root
from rootfs_tool.loading import did_you_mean, load, moved, placed
from rootfs_tool.model import Model, model_validator
from rootfs_tool.service import Service, Services, together
from rootfs_tool.sources import AnySource
from rootfs_tool.sources.deb import PackageName
from rootfs_tool.ssh import Ssh
from rootfs_tool.targets import AnyTarget, Qemu
from rootfs_tool.targets.portforward import Forwards

# What a recipe may say in the board's place: these keys are laid over the board's profile.
OVER_BOARD = (
    *("cmdline", "console", "disk", "firmware", "kernel", "network", "root", "root-password"),
    *("suite", "target"),
)


class Recipe(Model):
    """What is built: a board, and what you add to it.

    In a recipe.toml ``board`` is a name, the keys of OVER_BOARD stand beside it, and paths are
    relative to the file, as in the recipe.json of a build, whose board is whole. Here they are
    relative to where this program runs.
    """

    board: Board
    """The board that it is for."""

    source: tuple[AnySource, ...] = ()
    """Where more of the rootfs comes from, after the board's own sources."""

    packages: tuple[PackageName, ...] = ()
    """Debian's packages to add by name, with all that they depend on; no script of theirs runs."""

    ssh: Ssh | None = None
    """An SSH server on the board."""

    overlay: tuple[Path, ...] = ()
    """Directories laid over the rootfs at the end, in this order."""

    modules: tuple[ModuleName, ...] = ()
    """Kernel modules to load after the board's own."""

    image: tuple[AnyImage, ...] = ()
    """What the rootfs becomes, in the place of the board's images."""

    service: Services = ()
    """What runs from the board's start to its end."""

    user: Users = ()
    """Who may log in beside root, and whom services run as."""

    syslog: bool | None = None
    """Keep a system log in /var/log/messages; unless said otherwise, where there is a service."""

    forward: Forwards = ()
    """The forwards of the board's QEMU machine, in the place of its own: "10022:22", HOST:BOARD."""

    check: tuple[AnyCheck, ...] = ()
    """What to ask of the board once it runs."""

    @model_validator(mode="after")
    def _ssh_fits(self) -> Self:
        if self.ssh is None:
            return self
        if any(one.name == self.ssh.service.name for one in self.service):
            raise ValueError(f"[ssh] is the service {self.ssh.service.name} already")
        if clash := next((why for _, why in together(self.all_services)), None):
            raise ValueError(f"[ssh] is a service too: {clash}")
        on_card = any(isinstance(image, SdCard) for image in self.all_images)
        if self.ssh.host_keys is not None and (on_card or self.board.root is not Root.RAM):
            raise ValueError(
                "[ssh] host-keys would lie readable in the card's image: leave them out, as a "
                "root on the card keeps the keys that the board makes itself"
            )
        hashes = (self.board.root_password, *(user.password for user in self.user))
        if not (
            self.ssh.has_keys
            or any(user.authorized_keys or user.authorized_key_files for user in self.user)
            or (self.ssh.password_login and any(hashes))
            or self.overlay  # it may hold keys
        ):
            raise ValueError(
                "[ssh] lets nobody in: authorized-key-files names public keys, "
                "as ~/.ssh/id_ed25519.pub, for root"
            )
        return self

    @property
    def all_sources(self) -> tuple[AnySource, ...]:
        return (*self.board.source, *self.source)

    @property
    def all_modules(self) -> tuple[str, ...]:
        """In the order in which they are loaded, each once."""
        disk = self.board.disk.modules if self.board.disk else ()
        of_network = self.board.network.modules
        return tuple(dict.fromkeys((*disk, *self.board.modules, *self.modules, *of_network)))

    @property
    def all_services(self) -> tuple[Service, ...]:
        return (*self.service, *((self.ssh.service,) if self.ssh else ()))

    @property
    def logs(self) -> bool:
        """Whether the board keeps a system log."""
        return bool(self.all_services) if self.syslog is None else self.syslog

    @property
    def all_targets(self) -> tuple[AnyTarget, ...]:
        """The board's, its QEMU machine with the recipe's forwards if there are any."""
        forwards = {"forward": self.forward} if self.forward else {}
        return tuple(
            target.model_copy(update=forwards) if isinstance(target, Qemu) else target
            for target in self.board.target
        )

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
                f"{what}: is a directory without a recipe.json", hint=_instead_of(path)
            )
        if not path.exists():
            raise ConfigError(f"{what}: no such file or directory", hint=_meant(path))
        return _written(path), path
    board, file = Board.find(what)
    return Recipe(board=board), file


def _meant(file: Path) -> str:
    guess = did_you_mean(file.name, (one.name for one in file.parent.glob("*.toml")))
    return guess.removeprefix("; ") or "rootfs-tool boards lists what has a name; else name a file"


def _instead_of(directory: Path) -> str:
    files = sorted(directory.glob("*.toml"))
    if len(files) == 1:
        return f"did you mean {files[0]}?"
    return f"rootfs-tool build -o {shlex.quote(str(directory))} BOARD makes a build there"


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
    else:
        own = own.wrong(("board",), 'is missing; such as board = "qemu-aarch64"')
    own = placed(Recipe, own)
    for key, reason in (*_not_there(own.table), *_unknown(own.table)):
        own = own.wrong(key, reason)
    return load(Recipe, own, above="board", beside=OVER_BOARD)


def _not_there(table: Table) -> Iterator[tuple[Key, str]]:
    """The directories and files of this host that a recipe names and that are not there."""
    for index, overlay in enumerate(_array(table, "overlay")):
        if isinstance(overlay, str) and "\0" not in overlay and not Path(overlay).is_dir():
            yield ("overlay", index), f"there is no directory {overlay}"
    for index, source in enumerate(_array(table, "source")):
        path = _text(source, "path") if _text(source, "type") == "file" else ""
        if path and "\0" not in path and not Path(path).is_file():
            yield ("source", index, "path"), f"there is no file {path}"
        directory = _text(source, "directory")
        if directory and "\0" not in directory and not Path(directory).is_dir():
            yield ("source", index, "directory"), f"there is no directory {directory}"
        for number, file in enumerate(_array(source, "files")):
            if isinstance(file, str) and "\0" not in file and not Path(file).is_file():
                yield ("source", index, "files", number), f"there is no file {file}"
    owners = [(("user", index), one) for index, one in enumerate(_array(table, "user"))]
    for key, owner in (*owners, (("ssh",), table.get("ssh"))):
        for number, file in enumerate(_array(owner, "authorized-key-files")):
            if isinstance(file, str) and "\0" not in file and not Path(file).is_file():
                yield (*key, "authorized-key-files", number), f"there is no file {file}"


def _unknown(table: Table) -> Iterator[tuple[Key, str]]:
    """Services that would be a user who is not there, or another script."""
    users = [*SYSTEM, *filter(None, (_text(one, "name") for one in _array(table, "user")))]
    scripts = {name: f"the script {script}" for name, script in initscripts.scripts().items()}
    for index, service in enumerate(_array(table, "service")):
        user, name = _text(service, "user"), _text(service, "name")
        if user and user not in users:
            guess = did_you_mean(user, users) or f'; add one: [[user]] name = "{user}"'
            yield ("service", index, "user"), f'there is no user "{user}"{guess}'
        if name in scripts:
            yield ("service", index, "name"), f"{scripts[name]} is called {name} already"


def _array(table: object, key: str) -> list[object]:
    """What a table says under ``key``; nothing where that is no array, which `load` tells."""
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, list) else []


def _text(table: object, key: str) -> str:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, str) else ""


def dumps(recipe: Recipe, directory: Path) -> str:
    """The recipe.json of a build in ``directory``: paths that are not absolute begin there.

    So a build is used from everywhere, and is the same wherever it and its recipe lie together.
    """
    out = directory.resolve()

    def from_there(path: str) -> str:
        return path if Path(path).is_absolute() else os.path.relpath(_plain(path), out)

    table = moved(Recipe, json.loads(recipe.model_dump_json()), from_there)
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def _plain(path: str) -> str:
    """``path`` without ``..`` in it: behind a link, that is not the directory before it."""
    plain, real = os.path.normpath(path), os.path.realpath(path)
    return plain if os.path.realpath(plain) == real else real


def _built(path: Path) -> Recipe:
    out = path.parent.resolve()
    try:
        table = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}", hint="build again") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is damaged: it holds no table", hint="build again")
    table = moved(
        Recipe, table, lambda one: one if Path(one).is_absolute() else _from_here(out, one)
    )
    return load(Recipe, document.of(path, table))


def _from_here(out: Path, path: str) -> str:
    """A path that begins in ``out`` as it is from where we are."""
    return os.path.relpath(out / path)
