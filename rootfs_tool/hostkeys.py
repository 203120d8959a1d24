"""Host keys of the user's own: a machine gets them when it starts, and no image ever holds them."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from rootfs_tool import newc
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import Build
from rootfs_tool.recipe import Recipe
from rootfs_tool.ssh import HOST_KEYS
from rootfs_tool.tree import Directory, File, Tree

OPENSSH = "ssh_host_ed25519_key"
_DROPBEAR = re.compile(r"dropbear_(rsa|ecdsa|ed25519)_host_key")
_PEM = re.compile(
    r"-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----\s*"
)
_MAGIC = b"openssh-key-v1\0"


@contextmanager
def given(recipe: Recipe, build: Build) -> Iterator[Build]:
    """``build`` as a machine is to start it: with the keys that the recipe names, while in here.

    The kernel unpacks archives that follow each other (its buffer-format.rst), the first without
    compression; so the keys lie before the initramfs, in a file that only this user may read.
    Raises ConfigError if there are none.
    """
    if recipe.ssh is None or recipe.ssh.host_keys is None:
        yield build
        return
    tree = Tree()
    tree.add(HOST_KEYS, Directory(mode=0o700), origin="[ssh]")
    for name, key in keys(recipe.ssh.host_keys).items():
        tree.add(f"{HOST_KEYS}/{name}", File(content=key, mode=0o600), origin="[ssh]")
    with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as directory:
        both = Path(directory, "initramfs")
        both.touch(mode=0o600)
        newc.write(tree, both, epoch=build.epoch, compression="none")
        with both.open("ab") as out, build.image("cpio").open("rb") as initramfs:
            out.write(bytes(-out.tell() % 4))
            shutil.copyfileobj(initramfs, out)
        yield dataclasses.replace(
            build,
            images=tuple(
                dataclasses.replace(one, file=dataclasses.replace(one.file, name=str(both)))
                if one.format == "cpio"
                else one
                for one in build.images
            ),
        )


def keys(directory: Path) -> dict[str, bytes]:
    """The keys in a directory, by the names that dropbear has for them and in its form.

    Takes dropbear's own files, and sshd's Ed25519 key. Raises ConfigError if there are none.
    """
    found: dict[str, bytes] = {}
    try:
        for path in sorted(directory.iterdir()):
            if _DROPBEAR.fullmatch(path.name):
                found[path.name] = path.read_bytes()
            elif path.name == OPENSSH:
                found["dropbear_ed25519_host_key"] = _converted(path)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}", hint=_hint(directory)) from None
    if not found:
        raise ConfigError(
            f"{directory} holds no host key: {OPENSSH} or dropbear_ed25519_host_key",
            hint=_hint(directory),
        )
    return found


def _hint(directory: Path) -> str:
    return f"ssh-keygen -t ed25519 -N '' -f {quote(str(directory / OPENSSH))}"


def _converted(path: Path) -> bytes:
    """An Ed25519 key of OpenSSH's (its PROTOCOL.key) as dropbear's signkey.c has it."""
    try:
        match = _PEM.fullmatch(path.read_text())
        data = base64.b64decode(match[1]) if match else b""
        if not data.startswith(_MAGIC):
            raise ConfigError(f"{path} is no private key of OpenSSH's", hint=_hint(path.parent))
        cipher, rest = _string(data[len(_MAGIC) :])
        if cipher != b"none":
            raise ConfigError(
                f"{path} has a passphrase, which a board can't be asked for",
                hint=f"ssh-keygen -p -N '' -f {quote(str(path))}",
            )
        for _ in range(2):  # how the key would be made of the passphrase
            _, rest = _string(rest)
        _, rest = _string(rest[4:])  # the number of keys, which is 1, and the public one
        private, _ = _string(rest)
        kind, rest = _string(private[8:])  # behind two equal numbers, to check a passphrase by
        _, rest = _string(rest)
        pair, _ = _string(rest)
    except (ValueError, struct.error, binascii.Error):
        raise ConfigError(f"{path} is damaged", hint=_hint(path.parent)) from None
    if kind != b"ssh-ed25519" or len(pair) != 64:
        raise ConfigError(f"{path} is no Ed25519 key", hint=_hint(path.parent))
    return b"".join(struct.pack(">I", len(one)) + one for one in (kind, pair))


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string of RFC 4251, section 5, and what comes behind it."""
    (length,) = struct.unpack_from(">I", data)
    if 4 + length > len(data):
        raise ValueError("cut short")
    return data[4 : 4 + length], data[4 + length :]
