"""The cross-compiler: which one it is, and how it is told to link statically and reproducibly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool import proc
from rootfs_tool.arch import Arch
from rootfs_tool.artefact import Artefact
from rootfs_tool.toolchain import musl

# What __DATE__ and __TIME__ say (reproducible-builds.org), and __TIMESTAMP__: 2025-01-01, for a
# program must not depend on the day on which it is compiled.
ENVIRONMENT = {"SOURCE_DATE_EPOCH": "1735689600"}
TIMESTAMP = "Wed Jan  1 00:00:00 2025"
OPTIONS = ("-static", "-O2", "-Wno-builtin-macro-redefined", f'-D__TIMESTAMP__="{TIMESTAMP}"')
# In a static program musl write-protects nothing after relocation; to ask for that costs 64 KiB of
# padding, as segments must suit kernels with pages of that size.
FOR_MUSL = ("-Wl,-z,norelro",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A cross-compiler of this host; ``musl`` is Debian's package of that, None its own glibc."""

    arch: Arch
    musl: Artefact | None

    @property
    def prefix(self) -> str:
        """What the names of its programs begin with: "aarch64-linux-gnu-"."""
        return self.arch.compiler.removesuffix("gcc")

    @property
    def directory(self) -> Path:
        """Where Debian has its glibc, and the kernel's headers for programs."""
        return Path("/usr", self.prefix.removesuffix("-"))

    @property
    def glibc(self) -> Path:
        """The glibc that programs are linked with."""
        return self.directory / "lib" / "libc.a"

    def identity(self) -> list[str]:
        """What is another when the compiler, how it is used, or the C library is.

        Starts no program. Raises MissingToolError if there is no compiler.
        """
        programs = [proc.which(f"{self.prefix}{name}") for name in ("gcc", "as", "ld")]
        libc = self.musl.sha256 if self.musl else stamp(str(self.glibc))
        how = [*ENVIRONMENT.values(), *OPTIONS, *FOR_MUSL, musl.SPECS]
        return [*(f"{path} {stamp(path)}" for path in programs), libc, *how]

    def argv(self, scratch: Path, *, renamed: Mapping[str, str]) -> list[str]:
        """The compiler's command line up to the first file, the same to compile and to link.

        ``scratch`` is a directory that stays until it has run; ``renamed`` has what the program
        shall call a directory whose name must not be in it.
        """
        argv = [proc.which(self.arch.compiler), *OPTIONS]
        names = {str(scratch): ".", **renamed}
        if self.musl is not None:
            specs = musl.write_specs(self.musl, scratch, kernel=self.directory / "include")
            argv += [f"-specs={specs}", *FOR_MUSL]
            # gcc looks behind symbolic links where that makes the name of a header shorter
            names |= {str(self.musl.path): "musl", str(self.musl.path.resolve()): "musl"}
        return [*argv, *(f"-ffile-prefix-map={old}={new}" for old, new in names.items())]

    def version(self) -> str:
        """Such as "12.2.0"."""
        return proc.run(self.arch.compiler, "-dumpfullversion", timeout=30).strip()


def stamp(path: str) -> str:
    """Size and time of a file that only a package's installation changes; "" if it is not there."""
    try:
        found = Path(path).stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"
