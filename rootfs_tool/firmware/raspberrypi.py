"""The firmware of the Raspberry Pi: Debian's raspi-firmware and the two files that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from rootfs_tool import initscripts
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Filesystem
from rootfs_tool.firmware import card, devicetree, rules, startup, uboot
from rootfs_tool.firmware.base import Firmware, Payload
from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.models import MODELS, ModelName, PiModel
from rootfs_tool.firmware.startup import KERNEL_64, Startup
from rootfs_tool.loading import did_you_mean
from rootfs_tool.model import Field, Matching
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.deb import PackageName
from rootfs_tool.store import Stored
from rootfs_tool.tree import File, Tree

ConfigLine = Annotated[
    str, Matching(r"[!-~][ -~]{0,97}", "a line of up to 98 printable ASCII characters")
]
FILES = "/usr/lib/raspi-firmware/"  # of the package


class RaspberryPi(Firmware):
    """A Raspberry Pi starts from a FAT partition with its firmware, a kernel and config.txt."""

    type: Literal["raspberrypi"] = "raspberrypi"

    models: Annotated[tuple[ModelName, ...], Field(min_length=1)]
    """The models that one card is for."""

    config: tuple[ConfigLine, ...] = ()
    """Lines at the end of config.txt, such as "dtoverlay=hifiberry-dac"."""

    u_boot: bool = False
    """Whether U-Boot starts the kernel: a prompt to boot from the network or to try another."""

    package: PackageName = "raspi-firmware"
    """The Debian package that has the firmware; it is in non-free-firmware."""

    @classmethod
    def of(cls, image: Path) -> RaspberryPi | None:
        """That of a card that anybody made, by what is on it; None if that does not tell.

        Raises ConfigError if there is no boot partition, or it is damaged.
        """
        models = tuple(model.name for model in card.models_of(card.boot(image)))
        return cls(models=models) if models else None

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        firmware = archive.fetch(self.package, component="non-free-firmware")
        return (firmware, archive.fetch(uboot.PACKAGE)) if self.u_boot else (firmware,)

    def fill(self, boot: Tree, artefacts: Sequence[Artefact], payload: Payload) -> None:
        """Add what each model needs, and nothing else.

        In a device tree the card's slot gets the alias mmc0, so that it is /dev/mmcblk0 however
        many controllers the kernel finds, and in whatever order. Raises ConfigError.
        """
        artefact, *more = artefacts
        assert artefact.files is not None  # fetch() gives packages alone
        origin = f"package {artefact.name}"
        for name in self._firmware():
            path = _file(artefact.files, name)
            boot.add(f"/{name}", File(content=path), origin=origin)
        for name in self._overlays(artefact.files):
            path = _file(artefact.files, name)
            boot.add(f"/{name}", File(content=path), origin=origin)
        if artefact.licence is not None:  # which whoever passes the card on must pass on too
            boot.add("/LICENCE.txt", File(content=artefact.licence), origin=origin)
        for model in self._models:
            blob = payload.device_tree(f"broadcom/{model.device_tree}").read_bytes()
            tree = devicetree.with_alias(blob, "mmc0", model.slot)
            boot.add(f"/{model.device_tree}", File(content=tree), origin="the kernel's package")
        self._add_kernel(boot, payload)
        for one in more:
            uboot.fill(boot, one, payload)

    def check(self, boot: Filesystem) -> list[str]:
        return rules.check(boot, self._models)

    def check_card(self, image: Path) -> list[str]:
        return card.check(image, self._models)

    def titles(self) -> str:
        """The models as people call them."""
        return ", ".join(model.title for model in self._models)

    def startup(self, boot: Filesystem, model: ModelName) -> Startup:
        """What the firmware of one model loads from a boot partition, by the names there."""
        return startup.find(BootFiles(boot), MODELS[model])

    @property
    def _models(self) -> list[PiModel]:
        return [MODELS[name] for name in self.models]

    def _firmware(self) -> list[str]:
        found = [] if all(model.eeprom for model in self._models) else ["bootcode.bin"]
        for generation in dict.fromkeys(model.generation for model in self._models):
            found += [f"start{generation}.elf", f"fixup{generation}.dat"]
        return found

    def _overlays(self, package: Stored) -> list[str]:
        """The files of the overlays in ``config``. Raises ConfigError if there is no such one."""
        found = []
        for line in self.config:
            name = line.removeprefix("dtoverlay=").partition(",")[0]
            if not line.startswith("dtoverlay=") or not name:
                continue
            file = f"overlays/{name}.dtbo"
            if FILES + file not in package.rows:
                known = [
                    Path(path).stem
                    for path in package.rows
                    if path.startswith(f"{FILES}overlays/") and path.endswith(".dtbo")
                ]
                raise ConfigError(
                    f"firmware.config: {self.package} has no overlay {name}"
                    + did_you_mean(name, known),
                    hint=f"it has {', '.join(known)}" if known else None,
                )
            found.append(file)
        return found

    def _add_kernel(self, boot: Tree, payload: Payload) -> None:
        boot.add(f"/{KERNEL_64}", File(content=payload.kernel), origin="the kernel's package")
        initramfs = payload.initramfs
        if initramfs is not None:
            boot.add(f"/{initramfs.name}", File(content=initramfs), origin="the initramfs")
        texts = {
            "config.txt": initscripts.render(
                "boot/config.txt.j2",
                kernel=uboot.NAME if self.u_boot else KERNEL_64,
                initramfs=None if initramfs is None or self.u_boot else initramfs.name,
                config=self.config,
            ),
            "cmdline.txt": initscripts.render("boot/cmdline.txt.j2", cmdline=payload.cmdline),
        }
        for name, text in texts.items():
            origin = f"the template {name}.j2"
            boot.add(f"/{name}", File(content=text.encode()), origin=origin)


def _file(package: Stored, name: str) -> Path:
    """A file of the firmware on this host. Raises ConfigError if the package does not have it."""
    if FILES + name not in package.rows:
        raise ConfigError(f"firmware.package holds no {FILES}{name}")
    return package.checked(FILES + name)
