"""apt's programs on a state of our own: its lists of packages, its downloads, its configuration."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rootfs_tool import events, paths, proc
from rootfs_tool.arch import Arch
from rootfs_tool.errors import CommandError, FetchError
from rootfs_tool.sources import mirrors

# Read after the host's own configuration, whose proxies and credentials it leaves as they are.
# Hooks of the host's and its preferences between releases are not for this state.
CONFIGURATION = """\
APT::Architecture "{arch}";
APT::Architectures "{arch}";
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
Dir::State "{directory}";
Dir::State::lists "{directory}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{directory}/cache";
Dir::Etc::sourcelist "{directory}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""

LISTS = 96 << 20  # bytes that apt wants for the lists of a suite and what it makes of them

_WANTED = ("Package", "Version", "Size", "SHA256", "Depends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A version of a package as the archive lists it; ``depends`` are its Depends as written."""

    package: str
    version: str
    size: int
    sha256: str
    depends: str


@dataclass(slots=True)
class AptState:
    """Lists and downloads of one suite, architecture and component."""

    directory: Path
    title: str
    arch: str
    _updated: bool = False
    _known: dict[str, list[Listed]] = field(default_factory=dict)
    _ahead: dict[Listed, Path] = field(default_factory=dict)

    def update(self) -> None:
        """Make the lists as new as the archive's; once is enough. Raises FetchError."""
        if not self._updated:
            with events.step(f"ask Debian's archive for {self.title}"):
                self._apt("apt-get", "update")
            self._updated = True

    def versions(self, package: str) -> list[Listed]:
        """Every version that the archive has, the newest first; none of an unknown package."""
        if package in self._known:
            return self._known[package]
        try:
            said = self._apt("apt-cache", "show", package)
        except FetchError as error:
            if "No packages found" in str(error):
                return []
            raise
        return _listings(said)

    def shown(self, packages: Sequence[str]) -> list[Listed]:
        """Every version of all of them, asked for at once. Raises FetchError if one is unknown."""
        asked = [package for package in packages if package not in self._known]
        for listed in _listings(self._apt("apt-cache", "show", *asked)) if asked else []:
            self._known.setdefault(listed.package, []).append(listed)
        return [listed for package in packages for listed in self._known.get(package, [])]

    def names(self, prefix: str) -> list[str]:
        """The packages whose names start with ``prefix``."""
        return self._apt("apt-cache", "pkgnames", prefix).split()

    @contextmanager
    def download(self, listed: Listed) -> Iterator[Path]:
        """The package's .deb, for as long as the block runs. Raises FetchError."""
        import tempfile

        if listed in self._ahead:
            yield self._ahead[listed]
            return
        with tempfile.TemporaryDirectory(prefix="download-", dir=self.directory) as directory:
            text = f"download {listed.package} {listed.version} ({listed.size / 1e6:.1f} MB)"
            with events.step(text):
                wanted = f"{listed.package}={listed.version}"
                self._apt("apt-get", "download", wanted, cwd=Path(directory))
            (package,) = Path(directory).glob("*.deb")
            yield package

    def download_ahead(self, wanted: Sequence[Listed]) -> None:
        """Download them in one go: apt takes half a second to begin. Raises FetchError."""
        if not wanted:
            return
        directory = self.directory / "download-ahead"
        directory.mkdir(exist_ok=True)
        size = sum(listed.size for listed in wanted) / 1e6
        with events.step(f"download {len(wanted)} packages ({size:.1f} MB)"):
            names = (f"{listed.package}={listed.version}" for listed in wanted)
            self._apt("apt-get", "download", *names, cwd=directory)
        for listed in wanted:  # no package's name holds the _ behind it
            (self._ahead[listed],) = directory.glob(f"{listed.package}_*.deb")

    def sweep(self) -> None:
        """Leave no download behind that Ctrl-C broke off."""
        sweep(self.directory)

    def keep(self, name: str, text: str) -> Path:
        """A file of that name beside the lists, for apt to read."""
        path = self.directory / name
        path.write_text(text)
        return path

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        """One of apt's programs on this state, which ends with us. Raises CommandError."""
        configuration = f"--config-file={self.directory}/apt.conf"
        return proc.run(program, configuration, "-q", *arguments, cwd=cwd, bound=True)

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        try:
            return self.run(program, *arguments, cwd=cwd)
        except CommandError as error:
            lines = [line for line in error.output.splitlines() if line.startswith(("E: ", "W: "))]
            free = shutil.disk_usage(paths.cache()).free  # full lists may just look damaged to apt
            full = os.strerror(errno.ENOSPC) in error.output or free < LISTS
            raise FetchError(
                "\n".join([f"{program} {arguments[0]} failed", *lines[:4]]),
                hint=f"{paths.cache()} needs more room: rootfs-tool clean --cache"
                if full
                else "is the network up? what is in the cache needs none; " + mirrors.HINT,
            ) from None


def sweep(directory: Path) -> None:
    """Remove downloads that were broken off; the caller keeps other builds out."""
    for stale in directory.glob("download-*"):
        shutil.rmtree(stale, ignore_errors=True)


def prepare(suite: str, arch: Arch, component: str) -> AptState:
    """The state of that name, made if need be; the caller keeps other builds out of it."""
    sources = mirrors.sources(suite, component)
    digest = hashlib.sha256(sources.encode()).hexdigest()[:12]
    directory = paths.cache() / "apt" / f"{suite}-{arch.debian}-{component}-{digest}"
    for below in ("lists/partial", "cache/archives/partial"):
        (directory / below).mkdir(parents=True, exist_ok=True)
    sweep(directory)  # of a build that was killed
    (directory / "debian.sources").touch(mode=0o600)  # a mirror's URI may hold a password
    (directory / "debian.sources").write_text(sources)
    configuration = CONFIGURATION.format(arch=arch.debian, directory=directory)
    (directory / "apt.conf").write_text(configuration)
    return AptState(directory, f"{suite}/{arch.debian}", arch.debian)


def _listings(said: str) -> list[Listed]:
    return [_listed(stanza) for stanza in said.split("\n\n") if "\nSHA256:" in stanza]


def _listed(stanza: str) -> Listed:
    fields = dict(re.findall(rf"^({'|'.join(_WANTED)}): (.*)$", stanza, re.MULTILINE))
    return Listed(
        package=fields["Package"],
        version=fields["Version"],
        size=int(fields["Size"]),
        sha256=fields["SHA256"],
        depends=fields.get("Depends", ""),
    )
