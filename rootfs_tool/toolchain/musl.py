"""musl for Debian's cross-compiler: its headers and its libc.a in the place of glibc's."""

from __future__ import annotations

from pathlib import Path

from rootfs_tool.artefact import Artefact

# The parts of a specs file (GCC's manual, "Spec Files") that name headers and start files. Of
# glibc's headers none may be found; those of the kernel are in the same directory, so that they
# are reached through links of our own.
SPECS = """\
*cc1:
%(cc1_cpu) -nostdinc -isystem {headers} -isystem include%s -idirafter {kernel}

*startfile:
{libraries}/crt1.o {libraries}/crti.o crtbeginT.o%s

*endfile:
crtend.o%s {libraries}/crtn.o

*libgcc:
libgcc.a%s libgcc_eh.a%s

*link_libgcc:
-L{libraries}

"""
KERNEL = ("asm", "asm-generic", "linux", "mtd")


def write_specs(musl: Artefact, scratch: Path, *, kernel: Path) -> Path:
    """A specs file in ``scratch`` for the package ``musl``; ``kernel`` has the kernel's headers."""
    assert musl.files is not None  # it is a package
    (libc,) = (name for name in musl.files.rows if name.endswith("/libc.a"))
    libraries = musl.files.checked(libc).parent
    links = scratch / "kernel"
    links.mkdir()
    for name in KERNEL:
        (links / name).symlink_to(kernel / name)
    specs = scratch / "musl.specs"
    specs.write_text(
        SPECS.format(
            headers=_word(musl.files.path(f"/usr/include/{libraries.name}")),
            kernel=_word(links),
            libraries=_word(libraries),
        )
    )
    return specs


def _word(path: Path) -> str:
    """As one word of a spec, whatever is in it."""
    return "".join(f"\\{one}" if one in " \t\\%{}|;:*" else one for one in str(path))
