"""A Debian archive made by hand, small enough for a test and real enough for apt."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUITE = "trixie"
KERNEL = "linux-image-6.12.1-arm64"
MODULES = "/usr/lib/modules/6.12.1-arm64"

Content = bytes | str | None  # of a file; where a symbolic link leads; None is a directory


def package(
    directory: Path,
    name: str,
    version: str,
    files: dict[str, Content],
    *,
    depends: str = "",
    provides: str = "",
    executable: tuple[str, ...] = (),
    postinst: str = "",
) -> Path:
    """A .deb with these files in it, made by dpkg-deb."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made, "root")
        root.mkdir(mode=0o755)
        doc = f"/usr/share/doc/{name}"
        free: dict[str, Content] = {f"{doc}/copyright": f"{name}: free\n".encode()}
        everything = {**(free if doc not in files else {}), **files}
        for path, content in everything.items():
            at = root / path.lstrip("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            match content:
                case bytes():
                    at.write_bytes(content)
                    at.chmod(0o755 if path in executable else 0o644)
                case str():
                    at.symlink_to(content)
                case None:
                    at.mkdir()
        fields = {
            "Package": name,
            "Version": version,
            "Architecture": "arm64",
            "Maintainer": "Nobody <nobody@invalid>",
            **({"Depends": depends} if depends else {}),
            **({"Provides": provides} if provides else {}),
            "Description": "made for a test",
        }
        (root / "DEBIAN").mkdir(mode=0o755)
        control = "".join(f"{key}: {value}\n" for key, value in fields.items())
        (root / "DEBIAN" / "control").write_text(control)
        if postinst:
            (root / "DEBIAN" / "postinst").write_text(f"#!/bin/sh\nset -e\n{postinst}\n")
            (root / "DEBIAN" / "postinst").chmod(0o755)
        # A version's epoch is left out of a file's name, as in Debian's archive.
        deb = directory / f"{name}_{version.rpartition(':')[2]}_arm64.deb"
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", str(root), str(deb)],
            check=True,
            capture_output=True,
        )
    return deb


@dataclass(frozen=True, slots=True)
class HandMade:
    """An archive in ``root``; ``sources`` is the file of apt sources that leads to it."""

    root: Path

    @property
    def sources(self) -> Path:
        return self.root / "test.sources"

    @property
    def pool(self) -> Path:
        return self.root / "pool"

    def publish(self, *debs: Path) -> None:
        """Let the archive have these packages and no others."""
        shutil.rmtree(self.pool, ignore_errors=True)
        self.pool.mkdir(parents=True)
        stanzas = []
        for deb in debs:
            shutil.copy(deb, self.pool)
            control = subprocess.run(
                ["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True
            ).stdout
            digest = hashlib.sha256(deb.read_bytes()).hexdigest()
            size = deb.stat().st_size
            stanzas.append(f"{control}Filename: pool/{deb.name}\nSize: {size}\nSHA256: {digest}\n")
        lists = "\n".join(stanzas).encode()
        release = self.root / "dists" / SUITE
        binary = release / "main" / "binary-arm64"
        binary.mkdir(parents=True, exist_ok=True)
        (binary / "Packages").write_bytes(lists)
        digest = hashlib.sha256(lists).hexdigest()
        (release / "Release").write_text(
            f"Origin: Test\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: arm64\n"
            "Components: main\nDate: Wed, 01 Jan 2025 00:00:00 UTC\n"
            f"SHA256:\n {digest} {len(lists)} main/binary-arm64/Packages\n"
        )
        self.sources.write_text(
            f"Types: deb\nURIs: file:{self.root}\nSuites: {SUITE}\nComponents: main\nTrusted: yes\n"
        )


def kernel(directory: Path, modules: dict[str, bytes] | None = None) -> list[Path]:
    """A kernel's package, and the one that stands for the newest."""
    files: dict[str, Content] = {
        "/boot/vmlinuz-6.12.1-arm64": b"not much of a kernel\n" * 1000,
        "/usr/lib/linux-image-6.12.1-arm64/broadcom/bcm2837-rpi-3-b.dtb": b"not much of a tree\n",
        f"{MODULES}/modules.builtin": b"kernel/drivers/virtio/virtio_pci.ko\n",
        f"{MODULES}/modules.order": "".join(f"{name}\n" for name in modules or {}).encode(),
        **{f"{MODULES}/{name}": content for name, content in (modules or {}).items()},
    }
    newest = package(
        directory, "linux-image-arm64", "6.12.1-1", {}, depends=f"{KERNEL} (= 6.12.1-1)"
    )
    return [package(directory, KERNEL, "6.12.1-1", files, depends="kmod | linux-tool"), newest]


def busybox(directory: Path) -> Path:
    """A package of this host's BusyBox."""
    program = Path("/bin/busybox").read_bytes()
    path = "/usr/bin/busybox"
    return package(directory, "busybox-static", "1:1.37.0-6", {path: program}, executable=(path,))
