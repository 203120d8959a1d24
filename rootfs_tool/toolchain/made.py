"""Programs that a toolchain has made, in the cache by a digest of all that they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rootfs_tool import proc, store
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import FetchError, RootfsToolError
from rootfs_tool.store import Stored
from rootfs_tool.toolchain.compiler import Toolchain

KEEP = 200  # of them stay in the cache
REPORT, PROGRAMS = "/report.json", "/programs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``notes`` are what a person should know of it; ``sha256`` has each program's digest.

    ``libc``, ``libc_version`` and ``libc_sha256`` are of this host's glibc, which is in the
    programs if musl is not.
    """

    version: str
    notes: tuple[str, ...]
    sha256: Mapping[str, str]
    libc: str
    libc_version: str
    libc_sha256: str


@dataclass(frozen=True, slots=True)
class Made:
    """Programs by their names, and how they were made."""

    stored: Stored
    report: Report

    def path(self, name: str) -> Path:
        """A program on this host. Raises FetchError if the cache was damaged."""
        return self.stored.checked(f"{PROGRAMS}/{name}")

    def glibc(self, toolchain: Toolchain) -> Artefact:
        """The C library of this host's cross-compiler that is in them."""
        package = self.report.libc
        copyright = Path(f"/usr/share/doc/{package}/copyright")
        return Artefact(
            name=package,
            version=self.report.libc_version,
            sha256=self.report.libc_sha256,
            origin="this host's package",
            path=toolchain.glibc,
            licence=copyright if copyright.exists() else None,
        )


def find(digest: str) -> Made | None:
    """What has been made from that, if it is in the cache."""
    stored = store.find("compiled", digest)
    if stored is None:
        return None
    try:
        table = json.loads(stored.path(REPORT).read_bytes())
        return Made(stored, Report(**{**table, "notes": tuple(table["notes"])}))
    except (OSError, ValueError, TypeError, KeyError):
        stored.drop()
        return None


def keep(
    digest: str, programs: Mapping[str, Path], *, toolchain: Toolchain, notes: tuple[str, ...]
) -> Made:
    """Put programs into the cache. Raises FetchError if it can't be written."""
    content = {name: path.read_bytes() for name, path in programs.items()}
    package = f"libc6-dev-{toolchain.arch.debian}-cross"
    glibc = toolchain.glibc.read_bytes() if toolchain.musl is None else b""
    report = Report(
        version=toolchain.version(),
        notes=notes,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        libc=package,
        libc_version=_installed(package) if toolchain.musl is None else "",
        libc_sha256=hashlib.sha256(glibc).hexdigest(),
    )
    with store.making("compiled", digest, keep=KEEP) as making:
        for name, data in content.items():
            making.file(f"{PROGRAMS}/{name}", [data], mode=0o755)
        making.file(REPORT, [json.dumps(asdict(report)).encode()], mode=0o644)
    found = find(digest)
    if found is None:
        raise FetchError("what was compiled did not stay in the cache", hint="is its disk full?")
    return found


def _installed(package: str) -> str:
    """The version of a package of this host; "" where Debian's programs do not know."""
    try:
        return proc.run("dpkg-query", "--show", "--showformat=${Version}", package, timeout=30)
    except RootfsToolError:
        return ""
