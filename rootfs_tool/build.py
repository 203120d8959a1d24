"""rootfs-tool build: packages -> tree -> images -> out/. One straight line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rootfs_tool import blockmap, compressed, output, sbom, store, trees
from rootfs_tool.artefact import Artefact
from rootfs_tool.blockmap import BlockMap
from rootfs_tool.board import Board
from rootfs_tool.compressed import Format
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import step
from rootfs_tool.images import Cpio, SdCard
from rootfs_tool.images.base import Contents, ImageFormat
from rootfs_tool.manifest import Build, BuiltImage, Origin
from rootfs_tool.output import Output
from rootfs_tool.recipe import Recipe, dumps
from rootfs_tool.sources import compiled
from rootfs_tool.sources.apt import Archive

EPOCH = 1_735_689_600  # 2025-01-01: the time of every file where no lock says another


@store.used()
def build(
    recipe: Recipe, out: Path, *, lock: Path, locked: bool = False, update_lock: bool = False
) -> Build:
    """Build ``recipe`` into the directory ``out``, which then holds all that a target needs.

    ``lock`` is the file of pins; ``locked`` takes nothing else, ``update_lock`` renews it. What
    lay in ``out`` from an earlier build stays usable until this one is whole. Raises
    RootfsToolError.
    """
    board = recipe.board
    archive = Archive(
        suite=board.suite, arch=board.arch, lock=lock, locked=locked, update_lock=update_lock
    )
    with archive:
        fetched = trees.fetch(recipe, archive)
        if update_lock:
            compiled.pinned(archive)
        epoch = source_date_epoch(archive.save_lock())
    device_tree = board.kernel.device_tree_file(fetched.kernel)
    formats = _in_order(recipe.all_images)

    with output.opened(out) as new, ThreadPoolExecutor(1) as beside:
        # 38 MB to copy and to hash, while the image is made
        image = beside.submit(new.copy, board.kernel.image(fetched.kernel), "Image")
        initramfs = new.directory / formats[0].filename
        contents = trees.contents(recipe, fetched, initramfs=initramfs)
        done = Build(
            directory=out,
            board=board.name,
            arch=board.arch,
            cmdline=board.kernel_cmdline,
            epoch=epoch,
            images=tuple(_image(format, contents, new, epoch, board) for format in formats),
            device_tree=None if device_tree is None else new.copy(device_tree, device_tree.name),
            recipe=new.text("recipe.json", dumps(recipe, out)),
            artefacts=tuple(_origins(fetched.artefacts, new)),
            kernel=image.result(),
        )
        done = replace(done, sbom=new.text(sbom.NAME, sbom.text(done, new.directory)))
        new.finish(done)
    return done


def source_date_epoch(locked: int | None) -> int:
    """The time of every file in the images, in seconds since 1970.

    SOURCE_DATE_EPOCH, as reproducible-builds.org specifies it, or else what the lock says. Raises
    ConfigError if it is not a number, or more than a cpio archive can hold.
    """
    said = os.environ.get("SOURCE_DATE_EPOCH") or str(EPOCH if locked is None else locked)
    if not said.isdecimal() or int(said) >= 1 << 32:
        raise ConfigError(f"SOURCE_DATE_EPOCH must be seconds since 1970, below 2**32, not {said}")
    return int(said)


def _in_order(formats: Sequence[ImageFormat]) -> list[ImageFormat]:
    """The initramfs first, for every board starts from it, and a card holds it."""
    initramfs = [format for format in formats if isinstance(format, Cpio)] or [Cpio()]
    return [*initramfs, *(format for format in formats if not isinstance(format, Cpio))]


def _image(
    format: ImageFormat, contents: Contents, new: Output, epoch: int, board: Board
) -> BuiltImage:
    name = format.filename
    with step(f"write {name}"):
        map = format.write(contents, new.reserve(name), epoch=epoch)
    if isinstance(format, SdCard) and map is not None:
        _check_card(board, new.directory / name)
        name, map = _packed(format, map, new)
    return BuiltImage(
        format=format.type,
        file=new.measure(name),
        map=None if map is None else new.text(name + blockmap.SUFFIX, blockmap.dumps(map)),
    )


def _check_card(board: Board, card: Path) -> None:
    """Raises ConfigError with all that the board's firmware would not like about the card."""
    wrong = board.firmware.check_card(card) if board.firmware is not None else ()
    if wrong:
        raise ConfigError("\n".join(f"{board.name} would not start: {one}" for one in wrong))


def _packed(card: SdCard, map: BlockMap, new: Output) -> tuple[str, BlockMap]:
    """The name of the card in out/ and its map, packed if that is wanted."""
    if card.compression == "none":
        return card.filename, map
    name = f"{card.filename}.{card.compression}"
    with step(f"pack {name}"):
        raw = new.directory / card.filename
        map = compressed.compress(raw, map, new.reserve(name), Format(card.compression))
        new.drop(card.filename)
    return name, map


def _origins(artefacts: Sequence[Artefact], new: Output) -> Iterator[Origin]:
    """Where each came from; the texts of their licences are copied."""
    by_name = {artefact.name: artefact for artefact in artefacts}
    for artefact in artefacts:
        of = by_name.get(_documented(artefact), artefact)
        name = None if of.licence is None else f"licences/{of.name}"
        if of.licence is not None and name is not None and name not in new.names:
            new.copy(of.licence, name)
        yield Origin(
            name=artefact.name,
            version=artefact.version,
            sha256=artefact.sha256,
            origin=artefact.origin,
            licence=name,
            replaces=artefact.replaces,
        )


def _documented(artefact: Artefact) -> str:
    """The package that has its copyright file, if it only links to that (Debian policy 12.5)."""
    row = artefact.files.rows.get(f"/usr/share/doc/{artefact.name}") if artefact.files else None
    return artefact.name if row is None else PurePosixPath(str(row[3])).name
