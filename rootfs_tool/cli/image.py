"""``rootfs-tool image``: look into an image without root and without mounting it."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from rootfs_tool.cli.progress import progress
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.opened import Opened, Volume, image_of, images_of
from rootfs_tool.printable import printable

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_IMAGE = click.option("--image", "format", metavar="FORMAT", help="Which image of an out/.")


@click.group("image")
def command() -> None:
    """Look into an image: what is in it, how two differ, what takes the space.

    WHAT is an image file (a card, ext4, FAT, squashfs, erofs or initramfs, told by its content) or
    a directory that build has made: then its sdcard image if it has one, else its initramfs.

    A path in a card begins with the partition's number or label: 1:/config.txt, rootfs:/etc/fstab.
    """


@command.command("ls", short_help="List the files in it.")
@click.argument("what", type=click.Path(path_type=Path))
@click.argument("path", default="")
@click.option("-l", "long", is_flag=True, help="Modes, owners, sizes and times too; @: has xattrs.")
@click.option("-R", "recursive", is_flag=True, help="All that is below PATH.")
@_IMAGE
@_JSON
def ls(
    what: Path, path: str, long: bool, recursive: bool, format: str | None, as_json: bool
) -> None:
    """List what is at PATH; without it the partitions of a card and what is in their roots."""
    from rootfs_tool.report import listing

    with progress():
        image = Opened(image_of(what, format))
        volumes = image.volumes if not path else ()
        found = [one for volume in volumes for one in _listed(volume, "/", recursive)]
        if path:
            volume, inside = image.at(path)
            found = _listed(volume, inside, recursive)
    if as_json:
        rows = [_partition(one) for one in volumes if one.partition is not None]
        entries = [_entry(named, entry) for named, entry in found]
        _print_json({"partitions": rows, "entries": entries})
        return
    lines = listing.partitions(volumes) if volumes and image.is_card else []
    if lines and found:
        lines.append("")
    _print([*lines, *listing.names(found, long=long)])


@command.command("cat", short_help="Write a file of it to stdout.")
@click.argument("what", type=click.Path(path_type=Path))
@click.argument("path")
@_IMAGE
def cat(what: Path, path: str, format: str | None) -> None:
    """Write the bytes of the file at PATH to stdout; symbolic links in the image are followed."""
    with progress():
        volume, entry = Opened(image_of(what, format)).find(path)
    if not stat.S_ISREG(entry.mode):
        raise ConfigError(f"{volume.prefix}{entry.path} is no regular file")
    for piece in volume.filesystem.read(entry):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@command.command("diff", short_help="Say how two images differ.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--content", is_flag=True, help="Of text files show the lines that differ.")
@_IMAGE
@_JSON
def diff(a: Path, b: Path, content: bool, format: str | None, as_json: bool) -> None:
    """Say how B differs from A, file by file; exits 0 if they are the same, 1 if not.

    Lines begin with - for what only A has, + for what only B has, ! for what differs. If only bytes
    outside the files differ, it says to what the first of them belongs.
    """
    from rootfs_tool import imagediff

    one, other = image_of(a, format), image_of(b, format)
    with progress():
        found = list(imagediff.differences(Opened(one), Opened(other), content=content))
        hint = "" if found else imagediff.first_difference(one, other)
    if as_json:
        _print_json({"same": not (found or hint), "bytes": hint, "differences": found})
    elif found or hint:
        lines = [f"--- {one}", f"+++ {other}"]
        for difference in found:
            mark = {"a": "-", "b": "+", None: "!"}[difference.only]
            said = difference.path if difference.only else imagediff.sentence(difference)
            lines += [f"{mark} {said}", *difference.text.splitlines()]
        _print([*lines, *filter(None, [hint])])
    sys.exit(bool(found or hint))


@command.command("size", short_help="Say what takes the space.")
@click.argument("what", type=click.Path(path_type=Path))
@click.option("--depth", type=click.IntRange(0), default=2, show_default=True, help="Of levels.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Draw a treemap.")
@_IMAGE
@_JSON
def size(what: Path, depth: int, html: Path | None, format: str | None, as_json: bool) -> None:
    """Say what takes the space: directories with all that is below them, the largest first."""
    from rootfs_tool import imagesize
    from rootfs_tool.report import size as drawn

    path = image_of(what, format)
    with progress():
        image = Opened(path)
        whole = imagesize.usage(image)
    if html is not None:
        html.write_text(drawn.page(whole, str(path)))
    files = images_of(what) if what.is_dir() else (path,)
    images = {one.name: one.stat().st_size for one in files}
    if as_json:
        rows = [
            {"path": one.path, "depth": level, "size": one.size, "taken": one.taken}
            for level, one in whole.walk(depth)
        ]
        _print_json({"image": str(path), "images": images, "usage": rows})
        return
    _print([*drawn.images(images), "", *drawn.table(whole, depth)])


def _listed(volume: Volume, path: str, recursive: bool) -> list[tuple[str, Entry]]:
    """What ``ls`` shows, each with its path as the other commands take it."""
    from rootfs_tool.filesystem import lookup

    if not volume.kind:
        return []
    at = lookup.find(volume.entries, path, follow=path.endswith("/"))
    shown = [at]
    if at.is_directory and recursive:
        shown = [one for one in volume.entries.values() if at.path in one.path.parents]
    elif at.is_directory:
        inside = (one for one in volume.entries.values() if one.path.parent == at.path)
        shown = [one for one in inside if one.path != at.path]
    return [(f"{volume.prefix}{one.path}", one) for one in shown]


def _partition(volume: Volume) -> dict[str, Any]:
    from dataclasses import asdict

    assert volume.partition is not None
    named = {"filesystem": volume.kind, "label": volume.label}
    return {**asdict(volume.partition), **named}


def _entry(path: str, entry: Entry) -> dict[str, Any]:
    from rootfs_tool.imagediff import type_name

    row: dict[str, Any] = {
        "path": path,
        "type": type_name(entry.mode),
        "mode": f"{stat.S_IMODE(entry.mode):04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": entry.mtime,
        "xattrs": {name: base64.b64encode(one).decode() for name, one in entry.xattrs.items()},
    }
    if stat.S_ISLNK(entry.mode):
        row["to"] = entry.to
    if stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode):
        row |= {"major": entry.major, "minor": entry.minor}
    if entry.stored is not None:
        row["stored"] = entry.stored
    return row


def _print(lines: Iterable[str]) -> None:
    """Lines to stdout: as they are for a program, with nothing that steers it for a terminal."""
    shown = map(printable, lines) if sys.stdout.isatty() else lines
    data = b"".join(os.fsencode(line) + b"\n" for line in shown)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _print_json(value: object) -> None:
    from dataclasses import asdict, is_dataclass

    def plain(one: Any) -> Any:
        if is_dataclass(one) and not isinstance(one, type):
            return asdict(one)
        raise TypeError

    click.echo(json.dumps(value, indent=2, default=plain))
