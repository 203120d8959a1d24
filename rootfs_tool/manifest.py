"""What a build produced: out/manifest.json. A target boots it, `flash` will write it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFile:
    """A file in out/: its name there, its size in bytes, its sha256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """``map`` says which bytes a device needs of an image that is for one (blockmap.py)."""

    format: str
    file: BuiltFile
    map: BuiltFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where something in the build came from; ``licence`` is a file in out/."""

    name: str
    version: str
    sha256: str
    origin: str
    licence: str | None
    replaces: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """``directory`` is where it lies now; everything else is written in manifest.json."""

    directory: Path
    board: str
    arch: Arch
    cmdline: str
    epoch: int
    kernel: BuiltFile
    device_tree: BuiltFile | None
    images: tuple[BuiltImage, ...]
    recipe: BuiltFile
    artefacts: tuple[Origin, ...]
    """What it is made from, the kernel first."""

    sbom: BuiltFile | None = None
    """Its software bill of materials, which has what stands here but itself."""

    def path(self, file: BuiltFile) -> Path:
        return self.directory / file.name

    def files(self) -> tuple[BuiltFile, ...]:
        """Every file that out/ must hold for this build."""
        images = (file for image in self.images for file in (image.file, image.map))
        some = (self.kernel, self.device_tree, *images, self.recipe, self.sbom)
        return tuple(file for file in some if file is not None)

    def image(self, format: str) -> Path:
        """The image of that format. Raises ConfigError if the build has none."""
        for image in self.images:
            if image.format == format:
                return self.path(image.file)
        raise ConfigError(
            f"{self.directory} holds no {format} image",
            hint=f'add [[image]] type = "{format}" to the board or recipe and build again',
        )


def dumps(build: Build) -> str:
    """The text of manifest.json; two builds of the same inputs give the same text."""
    table: dict[str, Any] = {"format": FORMAT, **asdict(build)}
    del table["directory"]
    return json.dumps(table, indent=2, sort_keys=True) + "\n"


def load(directory: Path) -> Build:
    """Read out/manifest.json. Raises ConfigError if it is missing, torn or of another format."""
    build = read(directory)
    for file in build.files():
        if not build.path(file).is_file() or build.path(file).stat().st_size != file.size:
            raise ConfigError(f"{build.path(file)} is missing or cut short", hint="build again")
    return build


def read(directory: Path) -> Build:
    """Like ``load``, whether its files are there or not."""
    path = directory / "manifest.json"
    try:
        table = json.loads(path.read_text())
        if table.pop("format") != FORMAT:
            raise ConfigError(f"{path} is of another rootfs-tool", hint="build again")
        return _build(directory, table)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="build it first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: {error}", hint="build again") from None


def _build(directory: Path, table: dict[str, Any]) -> Build:
    return Build(
        directory=directory,
        board=table["board"],
        arch=Arch(table["arch"]),
        cmdline=table["cmdline"],
        epoch=table["epoch"],
        kernel=BuiltFile(**table["kernel"]),
        device_tree=table["device_tree"] and BuiltFile(**table["device_tree"]),
        images=tuple(
            BuiltImage(
                format=one["format"],
                file=BuiltFile(**one["file"]),
                map=BuiltFile(**one["map"]) if one.get("map") else None,
            )
            for one in table["images"]
        ),
        recipe=BuiltFile(**table["recipe"]),
        artefacts=tuple(Origin(**one) for one in table["artefacts"]),
        sbom=BuiltFile(**table["sbom"]) if table.get("sbom") else None,
    )
