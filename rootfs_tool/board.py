"""Board: the facts of one board type, from boards/NAME.toml and the profiles it extends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from rootfs_tool import document, paths
from rootfs_tool.account import hashed
from rootfs_tool.arch import Arch
from rootfs_tool.console.base import Line
from rootfs_tool.document import Document
from rootfs_tool.errors import ConfigError
from rootfs_tool.firmware import AnyFirmware
from rootfs_tool.images import AnyImage
from rootfs_tool.images.base import ROOT_PARTITION, Root
from rootfs_tool.loading import did_you_mean, load, placed
from rootfs_tool.model import Field, Matching, Model, field_validator, model_validator
from rootfs_tool.network import Network
from rootfs_tool.sources import AnySource
from rootfs_tool.sources.kernel import Kernel
from rootfs_tool.targets import AnyTarget

BoardName = Annotated[
    str,
    Matching("[a-z0-9][a-z0-9-]{0,62}", "a board's name: small letters, digits and hyphens"),
]
OneLine = Annotated[str, Matching(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*", "one line of text")]
Suite = Annotated[
    str, Matching("[a-z][a-z0-9-]{0,31}", "the code name of a Debian release, such as trixie")
]
# COMMAND_LINE_SIZE of arm64 is 2,048 with the final NUL; console= takes up to 60 of them.
CommandLine = Annotated[
    str, Matching("[ -~]{0,1980}", "up to 1,980 printable ASCII characters on one line")
]
# What modprobe and the kernel accept; both take a hyphen for an underscore.
ModuleName = Annotated[
    str,
    Matching("[A-Za-z0-9_][A-Za-z0-9_-]{0,54}", "a kernel module's name: letters, digits, _ and -"),
]
DiskName = Annotated[
    str, Matching("[a-z][a-z0-9]{1,30}", "the kernel's name of a disk, such as mmcblk0 or vda")
]


class Disk(Model):
    """The disk that a board starts from, such as an SD card."""

    device: DiskName = "mmcblk0"
    """The kernel's name for it, in /dev."""

    modules: tuple[ModuleName, ...] = ()
    """Kernel modules without which it does not appear, in this order."""

    wait: int = Field(default=20, ge=1, le=300)
    """Seconds that it may take to appear."""

    def partition(self, number: int) -> str:
        """The kernel's name for a partition (disk_name() in block/partitions/core.c)."""
        return f"{self.device}{'p' if self.device[-1].isdigit() else ''}{number}"


class Board(Model):
    """A board profile: the facts of one type of board."""

    name: BoardName
    """The name of the profile, and of its file without .toml."""

    description: OneLine
    """What the board is, in one line."""

    arch: Arch
    """The architecture of its CPU."""

    suite: Suite = "trixie"
    """The Debian release that its kernel and programs come from."""

    cmdline: CommandLine = ""
    """The kernel's command line; console= is added at its end from the [console] table."""

    console: Line = Line()
    """The board's end of its serial console."""

    network: Network
    """Its name, interfaces and routes."""

    root_password: str | None = None
    """A hash from `openssl passwd -6`; "" lets anyone log in as root; without it root is locked."""

    kernel: Kernel
    """The kernel that it boots."""

    firmware: AnyFirmware | None = None
    """What starts the kernel from a card's boot partition."""

    disk: Disk | None = None
    """The disk that it starts from."""

    root: Root = Root.RAM
    """Where / is: in RAM, on the card, or read-only on the card with changes laid over it."""

    source: tuple[AnySource, ...] = ()
    """Where everything else in the rootfs comes from."""

    modules: tuple[ModuleName, ...] = ()
    """Kernel modules to load while it starts, in this order."""

    image: tuple[AnyImage, ...] = ()
    """What the rootfs becomes."""

    target: tuple[AnyTarget, ...] = ()
    """Where a build of it can run."""

    @field_validator("root_password")
    @classmethod
    def _hashed(cls, value: str | None) -> str | None:
        return hashed(value)

    @property
    def kernel_cmdline(self) -> str:
        """The whole command line. The last console= is where the userland's output goes."""
        root = f"root=/dev/{self.root_partition}" if self.root_partition else ""
        console = f"console={self.console.device},{self.console.baudrate}"
        return " ".join(filter(None, (self.cmdline, root, console)))

    @property
    def root_partition(self) -> str | None:
        """The kernel's name for the partition that / is on, if it is not in RAM."""
        if self.root is Root.RAM or self.disk is None:
            return None
        return self.disk.partition(ROOT_PARTITION)

    @model_validator(mode="after")
    def _has_a_disk(self) -> Self:
        if self.root is not Root.RAM and self.disk is None:
            raise ValueError(f'root = "{self.root}" needs a [disk] that / is on')
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """The board of one file. Raises ConfigError with every mistake in it."""
        return load(cls, placed(cls, read(path)))

    @classmethod
    def find(cls, name: str) -> tuple[Self, Path]:
        """The board of that name, and its file. Raises ConfigError if it is wrong, or not there."""
        path = locate(name)
        return cls.load(path), path


def known() -> dict[str, Path]:
    """The file of every board on the search path, by the board's name."""
    return {name: files[0] for name, files in sorted(paths.named("boards", ".toml").items())}


def locate(name: str, chain: Sequence[Path] = ()) -> Path:
    """The file of the board called ``name``, other than those in ``chain``.

    So a profile of one's own may extend the packaged one of the same name. Raises ConfigError with
    the closest name, or with the circle that ``chain`` has come round in.
    """
    files = paths.named("boards", ".toml")
    passed = {path.resolve() for path in chain}
    for path in files.get(name, ()):
        if path not in passed:
            return path
    if chain and name in (path.stem for path in chain):
        circle = " extends ".join([*(path.stem for path in chain), name])
        raise ConfigError(f"goes round in a circle: {circle}")
    raise ConfigError(
        f'no board is called "{name}"{did_you_mean(name, files)}',
        hint=f"there are {', '.join(sorted(files))}" if files else None,
    )


def read(path: Path) -> Document:
    """A board's file laid over what it extends, not yet a Board. Raises ConfigError."""
    found = document.load(path, locate)
    name = found.table.get("name")
    if isinstance(name, str) and name != path.stem:
        return found.wrong(("name",), f'must be "{path.stem}", as the file is called')
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a board's file.

    A table that the file itself shares with the profile it extends may be given in part, so what
    is required there is required only of a profile that extends none.
    """
    found = Board.model_json_schema()
    whole: dict[str, Any] = {"required": found.pop("required"), "properties": {}}
    for name, field in found["properties"].items():
        table = _table(found, field)
        if table is not None and "required" in table:
            whole["properties"][name] = {"required": table.pop("required")}
    found["properties"]["extends"] = {
        "type": "string",
        "title": "Extends",
        "description": "The profile that this one builds on: tables are merged key by key, "
        "anything else replaces. What is required may then come from there, except the name.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rootfs-tool board",
        **{key: value for key, value in found.items() if key != "title"},
        "required": ["name"],
        "if": {"not": {"required": ["extends"]}},
        "then": whole,
    }


def _table(found: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a table that is a value of the root table, if ``field`` is one."""
    reference = field.get("$ref", "")
    table = found["$defs"].get(reference.rpartition("/")[2])
    return table if table is not None and table.get("type") == "object" else None
