"""apt's programs on a state of our own: its lists of packages, its downloads, its configuration."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    _updated: bool = False

    def update(self) -> None:
        """Make the lists as new as the archive's; once is enough. Raises FetchError."""
        if not self._updated:
            with events.step(f"ask Debian's archive for {self.title}"):
                self._apt("apt-get", "update")
            self._updated = True

    def versions(self, package: str) -> list[Listed]:
        """Every version that the archive has, the newest first; none of an unknown package."""
        try:
            said = self._apt("apt-cache", "show", package)
        except FetchError as error:
            if "No packages found" in str(error):
                return []
            raise
        return [_listed(stanza) for stanza in said.split("\n\n") if "\nSHA256:" in stanza]

    def names(self, prefix: str) -> list[str]:
        """The packages whose names start with ``prefix``."""
        return self._apt("apt-cache", "pkgnames", prefix).split()

    @contextmanager
    def download(self, listed: Listed) -> Iterator[Path]:
        """The package's .deb, for as long as the block runs. Raises FetchError."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="download-", dir=self.directory) as directory:
            text = f"download {listed.package} {listed.version} ({listed.size / 1e6:.1f} MB)"
            with events.step(text):
                wanted = f"{listed.package}={listed.version}"
                self._apt("apt-get", "download", wanted, cwd=Path(directory))
            (package,) = Path(directory).glob("*.deb")
            yield package

    def sweep(self) -> None:
        """Leave no download behind that Ctrl-C broke off."""
        sweep(self.directory)

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        configuration = f"--config-file={self.directory}/apt.conf"
        try:
            return proc.run(program, configuration, "-q", *arguments, cwd=cwd)
        except CommandError as error:
            lines = [line for line in error.output.splitlines() if line.startswith(("E: ", "W: "))]
            raise FetchError(
                "\n".join([f"{program} {arguments[0]} failed", *lines[:4]]),
                hint="is the network up? what is in the cache needs none; " + mirrors.HINT,
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
    return AptState(directory, f"{suite}/{arch.debian}")


def _listed(stanza: str) -> Listed:
    fields = dict(re.findall(rf"^({'|'.join(_WANTED)}): (.*)$", stanza, re.MULTILINE))
    return Listed(
        package=fields["Package"],
        version=fields["Version"],
        size=int(fields["Size"]),
        sha256=fields["SHA256"],
        depends=fields.get("Depends", ""),
    )
