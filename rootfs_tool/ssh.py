"""SSH on the board: Debian's dropbear as a service, and whom it lets in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rootfs_tool import account
from rootfs_tool.artefact import Artefact
from rootfs_tool.model import Field, Model, field_validator
from rootfs_tool.service import Service
from rootfs_tool.sources import linked
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import Directory, Tree

NAME = "dropbear"
ORDER = 49
# dropbear, and the packages of every library that it loads.
PACKAGES = (
    *("dropbear-bin", "libc6", "libcrypt1", "libgmp10", "libtomcrypt1", "libtommath1"),
    "zlib1g",
)
SFTP_PACKAGE = "openssh-sftp-server"  # dropbear has none of its own, and scp speaks sftp today
SFTP_COPYRIGHT = "openssh-client"  # the package that has its copyright file
HOST_KEYS = "/etc/dropbear"


class Ssh(Model):
    """An SSH server, dropbear; it makes its host keys itself when somebody first connects."""

    authorized_keys: tuple[str, ...] = ()
    """Public keys that log in as root, each one line of a .pub file."""

    authorized_key_files: tuple[Path, ...] = ()
    """Files of this host with such lines, as ~/.ssh/id_ed25519.pub."""

    port: int = Field(default=22, ge=1, le=65535)
    """The TCP port that it listens on, at all addresses."""

    password_login: bool = False
    """Let passwords log in too, not keys alone; an empty one never does."""

    host_keys: Path | None = None
    """A directory of this host with host keys for a QEMU machine, instead of new ones each boot."""

    sftp: bool = True
    """Put in what sftp and scp need on the board."""

    order: int = Field(default=ORDER, ge=0, le=99)
    """When it starts among the services."""

    @field_validator("authorized_keys")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one.startswith(("/", "~", ".")) or one.endswith(".pub"):
                raise ValueError(f'is a file\'s name: authorized-key-files = ["{one}"]')
        return tuple(account.public_key(one) for one in value)

    @property
    def has_keys(self) -> bool:
        return bool(self.authorized_keys or self.authorized_key_files)

    @property
    def service(self) -> Service:
        """What starts it: -R makes host keys as they are asked for, -s refuses passwords."""
        pidfile = f"/run/{NAME}.pid"
        how = "" if self.password_login else "-s "
        return Service(
            name=NAME,
            command=f"/usr/sbin/dropbear -R {how}-p {self.port} -P {pidfile}",
            order=self.order,
            pidfile=pidfile,
        )

    def fetch(self, archive: Archive) -> tuple[Artefact, ...]:
        """Have the packages on this host, unpacked. Raises FetchError."""
        sftp = (SFTP_PACKAGE, SFTP_COPYRIGHT) if self.sftp else ()
        archive.ahead((*PACKAGES, *sftp))
        found = tuple(archive.fetch(name) for name in PACKAGES)
        if not self.sftp:
            return found
        server, copyright = (archive.fetch(name) for name in sftp)
        return (*found, replace(server, licence=copyright.licence))

    def install(self, artefacts: Sequence[Artefact], tree: Tree) -> None:
        """Put the server into ``tree``. Raises FetchError or ConfigError."""
        programs = (NAME, *(("sftp-server",) if self.sftp else ()))
        linked.install(programs, artefacts, tree, purpose="which [ssh] needs")
        tree.add(HOST_KEYS, Directory(mode=0o700), origin="[ssh]")

    def authorize(self, tree: Tree) -> None:
        """Let those log in as root who may, beside whom an overlay lets in. Raises ConfigError."""
        keys = (*self.authorized_keys, *account.keys_from(self.authorized_key_files))
        account.authorize(tree, keys, home="/root")
