"""The kernel of a board: its [kernel] table, and what is in the package it names."""

from __future__ import annotations

from pathlib import Path

from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.model import Model
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.deb import PackageName
from rootfs_tool.store import Stored

IMAGE = "/boot/vmlinuz-"


class Kernel(Model):
    """A kernel from Debian's archive."""

    package: PackageName = "linux-image-arm64"
    """Its package, or the one that always stands for the newest."""

    device_tree: str | None = None
    """The device tree, as the package has it: "broadcom/bcm2837-rpi-3-b.dtb"."""

    def fetch(self, archive: Archive) -> Artefact:
        """Have the package on this host, unpacked. Raises FetchError."""
        return archive.fetch(self.package, follow="linux-image-")

    def release(self, artefact: Artefact) -> str:
        """What `uname -r` will say."""
        for path in _files(artefact).rows:
            if path.startswith(IMAGE):
                return path.removeprefix(IMAGE)
        raise FetchError(f"package {artefact.name} holds no kernel")

    def image(self, artefact: Artefact) -> Path:
        """The kernel's image on this host."""
        return _files(artefact).checked(IMAGE + self.release(artefact))

    def device_tree_file(self, artefact: Artefact) -> Path | None:
        """The device tree on this host. Raises ConfigError if the package does not have it."""
        if self.device_tree is None:
            return None
        return self.device_tree_called(self.device_tree, artefact)

    def device_tree_called(self, name: str, artefact: Artefact) -> Path:
        """A device tree of that name in the package. Raises ConfigError if there is none."""
        files = _files(artefact)
        directory = f"/usr/lib/linux-image-{self.release(artefact)}/"
        if directory + name not in files.rows:
            known = [
                path.removeprefix(directory) for path in files.rows if path.startswith(directory)
            ]
            guess = did_you_mean(name, known)
            raise ConfigError(f"kernel.device-tree: {artefact.name} has no {name}{guess}")
        return files.checked(directory + name)

    def modules(self, artefact: Artefact) -> str:
        """The directory in the package that has the modules."""
        directory = f"/lib/modules/{self.release(artefact)}"
        usr = f"/usr{directory}"  # since Debian 13
        return usr if usr in _files(artefact).rows else directory


def _files(artefact: Artefact) -> Stored:
    assert artefact.files is not None  # fetch() gives a package
    return artefact.files
