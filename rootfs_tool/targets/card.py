"""What a machine starts from: files of out/, or what is on the very card that would be flashed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool import compressed, proc
from rootfs_tool.errors import ConfigError
from rootfs_tool.firmware import card as firmware
from rootfs_tool.firmware import startup
from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.models import MODELS, ModelName
from rootfs_tool.manifest import Build

SMALLEST = 64 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The files that a machine is given; ``card`` is an image that it may write to."""

    kernel: Path
    cmdline: str
    initramfs: Path | None
    device_tree: Path | None
    card: Path | None = None


@contextmanager
def start(
    build: Build, *, card: bool, model: ModelName | None, kept: Path | None
) -> Iterator[Start]:
    """What ``build`` starts from; without a ``card``, the kernel and initramfs of out/.

    The machine gets a copy of the card, a new one each time, or the one that is ``kept``. A
    ``model`` of the Raspberry Pi starts from the card's boot partition, as its firmware would.
    Raises ConfigError if the build has no card, or the firmware would not find what it loads.
    """
    with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as directory:
        here = Path(directory)
        disk = _copy(build.image("sdcard"), kept or here / "card.img") if card else None
        if disk is not None and model is not None:
            yield _from_boot(disk, model, here)
            return
        yield Start(
            kernel=build.path(build.kernel),
            cmdline=build.cmdline,
            initramfs=build.image("cpio"),
            device_tree=None if build.device_tree is None else build.path(build.device_tree),
            card=disk,
        )


def _copy(image: Path, to: Path) -> Path:
    """A copy as large as an SD card can be in QEMU, which wants a power of two."""
    if not to.exists():
        new = to.with_name(f"{to.name}.new")
        try:
            _unpack(image, new)
            with new.open("r+b") as file:
                length = file.seek(0, os.SEEK_END)
                file.truncate(max(SMALLEST, 1 << (length - 1).bit_length()))
            new.replace(to)
        except OSError as error:
            raise ConfigError(f"{to}: {error.strerror}") from None
        finally:
            new.unlink(missing_ok=True)
    return to


def _unpack(image: Path, to: Path) -> None:
    """A copy with holes for zeros, of an image that may be packed. Raises ConfigError."""
    format = compressed.format_of(image)
    if format is None:
        proc.run("cp", "--sparse=always", image, to)
        return
    try:
        with image.open("rb") as file, to.open("wb") as out:
            for piece in compressed.unpacked(file, format):
                if piece.count(0) == len(piece):
                    out.seek(len(piece), os.SEEK_CUR)
                else:
                    out.write(piece)
            out.truncate()
    except compressed.Damaged as error:
        raise ConfigError(f"{image} is damaged: {error}", hint="build again") from None


def _from_boot(disk: Path, model: ModelName, to: Path) -> Start:
    """What the Pi's firmware would load, copied out of the boot partition of ``disk``."""
    files = BootFiles(firmware.boot(disk))
    found = startup.find(files, MODELS[model])

    def taken(what: str, *names: str) -> Path:
        file = to / what
        file.write_bytes(b"".join(files.read(name) for name in names))
        return file

    return Start(
        kernel=taken("kernel", found.kernel),
        cmdline=files.text(found.cmdline).strip(),
        initramfs=taken("initramfs", *found.initramfs) if found.initramfs else None,
        device_tree=taken("device-tree", found.device_tree) if found.device_tree else None,
        card=disk,
    )
