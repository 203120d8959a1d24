"""An image file, whatever it is: a card with its partitions, or a single file system."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from rootfs_tool import manifest
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem import lookup
from rootfs_tool.filesystem.base import Entry, Filesystem
from rootfs_tool.filesystem.decompress import Stream, compression
from rootfs_tool.filesystem.imagefile import ImageFile
from rootfs_tool.filesystem.partitions import Partition, partitions

# A path in a card: the partition's number or label, a colon, the path in it.
_IN_PARTITION = re.compile(r"([^/:]+):(.*)", re.DOTALL)


class Volume:
    """One file system of an image; ``kind`` is "" if it is none that is read here.

    ``partition`` is None where the whole image is the file system.
    """

    def __init__(self, image: Path, kind: str, size: int, partition: Partition | None) -> None:
        self.image = image
        self.kind = kind
        self.size = size
        self.partition = partition

    @property
    def start(self) -> int:
        """The byte of the image file at which it begins."""
        return self.partition.start if self.partition is not None else 0

    @property
    def prefix(self) -> str:
        """What stands before a path in it: "2:" for partition 2, nothing for a whole image."""
        return f"{self.partition.number}:" if self.partition is not None else ""

    def check(self) -> None:
        """Raise ConfigError if it holds no file system that is read here."""
        if not self.kind:
            where = f"partition {self.prefix[:-1]} of {self.image}" if self.prefix else self.image
            raise ConfigError(f"{where} holds no file system that is read here")

    @cached_property
    def filesystem(self) -> Filesystem:
        """Raises ConfigError if it can't be read."""
        self.check()
        return _reader(self.kind)(self.image, self.start)

    @cached_property
    def entries(self) -> dict[PurePosixPath, Entry]:
        """Its entries by their paths, parents first. Raises ConfigError if they can't be read."""
        return lookup.indexed(self.filesystem.entries()) if self.kind else {}

    @property
    def label(self) -> str:
        """The file system's, or else the partition's."""
        named = self.filesystem.label if self.kind else ""
        return named or (self.partition.label if self.partition is not None else "")


class Opened:
    """What is in an image file. Raises ConfigError if it can't be read or holds nothing known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        image = ImageFile(path)
        self.size = image.size
        kind = _kind(image)
        table = () if kind in ("cpio", "squashfs", "vfat") else partitions(path)
        self.volumes: tuple[Volume, ...]
        if table:
            self.volumes = tuple(_volume(path, one) for one in table)
        elif kind:
            self.volumes = (Volume(path, kind, image.size, None),)
        else:
            raise ConfigError(f"{path} is no image that is known here", hint=_unpack(image))

    @property
    def is_card(self) -> bool:
        """Whether it has a partition table."""
        return self.volumes[0].partition is not None

    def at(self, path: str) -> tuple[Volume, str]:
        """The file system of a path such as "2:/etc/fstab" or "rootfs:/etc/fstab", the path in it.

        The partition may be left out if just one has files. Raises ConfigError if it is not clear.
        """
        readable = [volume for volume in self.volumes if volume.kind]
        found = _IN_PARTITION.fullmatch(path)
        if self.is_card and found is not None:
            named = found.group(1)
            for volume in self.volumes:
                if named == volume.prefix[:-1]:
                    volume.check()
                    return volume, found.group(2)
            for volume in readable:
                with suppress(ConfigError):  # a damaged one has no label
                    if named.casefold() == volume.label.casefold():
                        return volume, found.group(2)
            raise ConfigError(f"{self.path} has no partition {named}", hint=self._partitions())
        if len(readable) == 1:
            return readable[0], path
        raise ConfigError(
            f"say which partition of {self.path} is meant", hint=self._partitions(path)
        )

    def find(self, path: str, *, follow: bool = True) -> tuple[Volume, Entry]:
        """What is at such a path. Raises ConfigError if nothing is."""
        volume, inside = self.at(path)
        return volume, lookup.find(volume.entries, inside, follow=follow)

    def _partitions(self, path: str = "/") -> str:
        named = (f"{one.prefix}{PurePosixPath('/', path)} ({one.kind})" for one in self.volumes)
        return f"there are {', '.join(named)}"


def image_of(what: Path, format: str | None = None) -> Path:
    """The image file that WHAT means: itself, or that of a build's directory.

    Without a ``format`` it is a build's card if it has one, else its initramfs. Raises ConfigError
    if there is none, or ``format`` is asked of a file.
    """
    if not what.is_dir():
        if format is not None:
            raise ConfigError(f"{what} is no directory of a build, of whose images one is {format}")
        return what
    build = manifest.load(what)
    formats = [image.format for image in build.images]
    if format is None:
        format = "sdcard" if "sdcard" in formats else "cpio"
    return build.image(format)


def images_of(out: Path) -> tuple[Path, ...]:
    """Every image file of a build's directory. Raises ConfigError if it is none."""
    build = manifest.load(out)
    return tuple(build.path(image.file) for image in build.images)


def _volume(path: Path, partition: Partition) -> Volume:
    return Volume(path, _kind(ImageFile(path, partition.start)), partition.size, partition)


def _kind(image: ImageFile) -> str:
    """What begins here, by its magic numbers; "" if it is not known."""
    start = image.some(0, 2048)
    if start.startswith(b"0707") or _is_compressed_cpio(image, start):
        return "cpio"
    if start.startswith(b"hsqs"):
        return "squashfs"
    if start[510:512] == b"\x55\xaa" and (start[54:57] == b"FAT" or start[82:87] == b"FAT32"):
        return "vfat"
    if start[1024 + 56 : 1024 + 58] == b"\x53\xef":
        return "ext4"
    if start[1024 : 1024 + 4] == b"\xe2\xe1\xf5\xe0":
        return "erofs"
    return ""


def _is_compressed_cpio(image: ImageFile, start: bytes) -> bool:
    how = compression(start)
    if image.offset or how is None:
        return False
    try:
        return next(iter(Stream(image, 0, how)), b"").startswith(b"0707")
    except ConfigError:
        return True  # to be told what is wrong with it


def _unpack(image: ImageFile) -> str | None:
    how = compression(image.some(0, 8))
    return f"it is compressed: unpack it with {how} -d first" if how is not None else None


def _reader(kind: str) -> Callable[[Path, int], Filesystem]:
    """The class that reads it, whose module only those pay for who have such an image."""
    match kind:
        case "cpio":
            from rootfs_tool.filesystem.cpio import Cpio

            return Cpio
        case "squashfs":
            from rootfs_tool.filesystem.squashfs import Squashfs

            return Squashfs
        case "vfat":
            from rootfs_tool.filesystem.fat import Fat

            return Fat
        case "ext4":
            from rootfs_tool.filesystem.ext4 import Ext4

            return Ext4
        case _:
            from rootfs_tool.filesystem.erofs import Erofs

            return Erofs
