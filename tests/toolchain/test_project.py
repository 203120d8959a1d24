"""Projects with a Makefile of their own, as people write them, built for the board."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rootfs_tool import elf
from rootfs_tool.arch import Arch
from rootfs_tool.errors import CommandError, ConfigError, MissingToolError
from rootfs_tool.toolchain import project
from rootfs_tool.toolchain.compiler import Toolchain
from rootfs_tool.toolchain.made import Made

A = '#include "b.h"\nint main(void) { return b(); }\n'
B = '#include "b.h"\n#include <stdio.h>\nint b(void) { return puts(__FILE__) < 0; }\n'
FILES = {"a.c": A, "b.c": B, "b.h": "int b(void);\n"}

# The ways in which Makefiles name their compiler and put things together.
MAKEFILES = {
    "a course's": """\
CC ?= $(CROSS_COMPILE)gcc
CFLAGS ?= -g -Wall -Werror
LDFLAGS ?= -lpthread -lrt
all: prog
prog: a.o b.o
\t$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS)
clean:
\trm -f *.o prog
""",
    "make's own rules": "LDLIBS = -lm\nprog: a.o b.o\n\t$(LINK.o) $^ $(LDLIBS) -o $@\n",
    "a prefix": "override CC = $(CROSS_COMPILE)gcc\nprog: a.c b.c\n\t$(CC) $^ -o $@\n",
    "a library": """\
prog: a.o libb.a
\t$(CC) a.o -L. -lb -o $@
libb.a: b.o
\t$(AR) rcs $@ $^ && $(RANLIB) $@
""",
    "below itself": """\
prog:
\t$(MAKE) -C sub -f ../Makefile below
\tcp sub/prog $@
\t$(STRIP) $@
below:
\t$(CC) -g $(CURDIR)/../a.c ../b.c -o prog
""",
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return written(tmp_path / "a project")


def written(directory: Path, makefile: str = MAKEFILES["a course's"]) -> Path:
    (directory / "sub").mkdir(parents=True)
    (directory / "sub" / "keep").touch()
    for name, text in {**FILES, "Makefile": makefile}.items():
        (directory / name).write_text(text)
    return directory


def made(directory: Path, glibc: Toolchain, name: str = "prog", *, strip: bool = True) -> Made:
    return project.make(directory, toolchain=glibc, programs=(name,), strip=strip)


def everything(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("how", MAKEFILES)
def test_usual_makefiles(here: Path, glibc: Toolchain, how: str) -> None:
    (here / "Makefile").write_text(MAKEFILES[how])
    before = everything(here)
    elf.check(made(here, glibc).path("prog"), Arch.aarch64)
    assert everything(here) == before, "a person's directory is not written to"


@pytest.mark.parametrize("strip", [True, False])
def test_the_same_bytes_wherever_the_directory_is(
    tmp_path: Path, glibc: Toolchain, cache: Path, strip: bool
) -> None:
    found = set()
    for name, mask in (("one", 0o022), ("another place", 0o077)):
        before = os.umask(mask)
        there = written(tmp_path / name, MAKEFILES["below itself"].replace("\t$(STRIP) $@\n", ""))
        found.add(made(there, glibc, strip=strip).path("prog").read_bytes())
        os.umask(before)
        cache.rename(tmp_path / f"the cache of {name}")
    (program,) = found
    assert f"{tempfile.gettempdir()}/tmp".encode() not in program
    assert b"../b.c" in program, "__FILE__ is as the Makefile says"


def test_the_second_time_make_is_not_started(
    here: Path, glibc: Toolchain, started: Callable[[], list[str]]
) -> None:
    made(here, glibc)
    (here / ".git").mkdir()
    (here / ".git" / "index").write_text("changes all the time")
    (here / "out").mkdir()
    for name in ("manifest.json", "recipe.json", "Image"):
        (here / "out" / name).touch()
    assert started()
    made(here, glibc)
    assert started() == []
    (here / "sub" / "keep").write_text("x")
    made(here, glibc)
    assert any(" CROSS_COMPILE=" in line for line in started()), "any file may count"


def test_what_was_compiled_for_this_host_is_made_again(here: Path, glibc: Toolchain) -> None:
    subprocess.run(["make", "-C", here], check=True, capture_output=True)
    assert (here / "a.o").exists()
    elf.check(made(here, glibc).path("prog"), Arch.aarch64)


def test_several_programs_targets_and_variables(here: Path, glibc: Toolchain) -> None:
    (here / "Makefile").write_text(
        "all:\n\tfalse\nout/%: a.c b.c\n\tmkdir -p out\n\t$(CC) $(MORE) $^ -o $@\n"
        "script:\n\tprintf '#!/bin/sh\\n' >$@\n"
    )
    found = project.make(
        here,
        toolchain=glibc,
        programs=("out/one", "out/two", "script"),
        target=("out/one", "out/two", "script"),
        variables={"MORE": "-DX -Wno-all"},
    )
    assert found.path("script").read_text() == "#!/bin/sh\n"
    assert set(found.report.sha256) == {"out/one", "out/two", "script"}
    elf.check(found.path("out/two"), Arch.aarch64)


def test_warnings_are_told_every_time_but_not_what_make_does(
    here: Path, glibc: Toolchain, notes: list[str]
) -> None:
    (here / "Makefile").write_text("prog: a.c b.c\n\t$(CC) -Wall $^ -o $@\n")
    (here / "a.c").write_text('#include <pwd.h>\nint main(void) { int x; getpwnam("x"); }\n')
    for _ in range(2):
        made(here, glibc)
    assert len(notes) == 4
    assert notes[:2] == notes[2:]
    assert notes[0].startswith("a.c: In function ")
    assert "getpwnam()" in notes[1]
    assert "/tmp" not in "".join(notes)


def test_an_error_is_the_compilers(here: Path, glibc: Toolchain) -> None:
    (here / "b.c").write_text("int b(void) { return x; }\n")
    with pytest.raises(CommandError) as caught:
        made(here, glibc)
    said = str(caught.value)
    assert said.startswith(f"make in {here} failed\n")
    assert "\nb.c:1:22: error: " in said
    assert "make: *** " in said
    assert "/tmp/tmp" not in said


@pytest.mark.parametrize("rule", ["prog: ../b.c\n", "prog:\n\t$(CC) a.c ../b.c -o prog\n"])
def test_what_lies_outside_the_directory_is_not_there(
    here: Path, glibc: Toolchain, rule: str
) -> None:
    (here / "b.c").rename(here.parent / "b.c")
    (here / "Makefile").write_text(rule)
    with pytest.raises(CommandError) as caught:
        made(here, glibc)
    assert "a copy of that directory alone, where ../ has nothing" in str(caught.value.hint)
    (here / "Makefile").write_text("prog:\n\ttest -e ../b.c\n")
    with pytest.raises(CommandError) as caught:
        made(here, glibc)
    assert caught.value.hint is None


def test_what_make_did_not_make(here: Path, glibc: Toolchain) -> None:
    with pytest.raises(ConfigError, match='made no prgo; did you mean "prog"'):
        made(here, glibc, "prgo")
    with pytest.raises(CommandError, match="No rule to make target"):
        project.make(here, toolchain=glibc, programs=("prog",), target=("nothing",))


def test_a_makefile_that_takes_this_hosts_compiler(here: Path, glibc: Toolchain) -> None:
    (here / "Makefile").write_text("prog: a.c b.c\n\tgcc -o prog a.c b.c\n")
    with pytest.raises(
        ConfigError, match=r": prog is built for .*, the board is aarch64"
    ) as caught:
        made(here, glibc)
    assert "$(CC)" in str(caught.value.hint)


def test_no_project(tmp_path: Path, glibc: Toolchain, here: Path) -> None:
    with pytest.raises(ConfigError, match="there is no directory"):
        made(tmp_path / "nowhere", glibc)
    (here / "Makefile").unlink()
    with pytest.raises(ConfigError, match="has no Makefile"):
        made(here, glibc)


def test_a_host_without_make(
    here: Path, tmp_path: Path, glibc: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("gcc", "as", "ld"):
        (tmp_path / "bin" / f"aarch64-linux-gnu-{name}").symlink_to(
            f"/usr/bin/aarch64-linux-gnu-{name}"
        )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(MissingToolError) as caught:
        made(here, glibc)
    assert caught.value.hint == "apt install make"
