"""C files become static programs, with the real cross-compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rootfs_tool import elf
from rootfs_tool.arch import Arch
from rootfs_tool.errors import CommandError, ConfigError, MissingToolError
from rootfs_tool.toolchain import inputs, program
from rootfs_tool.toolchain.compiler import Toolchain

Started = Callable[[], list[str]]

MAIN = '#include <stdio.h>\n#include "word.h"\nint main(void) { return puts(WORD) < 0; }\n'
# Everything that a compiler may take from the place and the time.
TELLTALE = """\
#include <assert.h>
#include <stdio.h>
#include "word.h"
int main(int count, char **words)
{
    assert(count > 0);
    puts(__FILE__ __DATE__ __TIME__ __TIMESTAMP__ __BASE_FILE__);
    where(words);
    return 0;
}
"""
WHERE = "#include <assert.h>\nstatic inline void where(char **words) { assert(words); }\n"


def project(here: Path, main: str = MAIN, word: str = '#define WORD "hello"\n') -> list[Path]:
    (here / "main.c").write_text(main)
    (here / "word.h").write_text(word)
    return [Path("main.c")]


def content(files: list[Path], toolchain: Toolchain) -> bytes:
    return program.compile(files, toolchain=toolchain).path(program.NAME).read_bytes()


def compilers(started: list[str]) -> list[str]:
    return [line for line in started if " -c " in line]


def test_a_static_program_for_the_board(here: Path, glibc: Toolchain) -> None:
    made = program.compile(project(here), toolchain=glibc)
    path = made.path(program.NAME)
    elf.check(path, Arch.aarch64)
    assert made.report.sha256[program.NAME] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.report.notes == ()
    assert made.glibc(glibc).version, "Debian's package of it"
    assert made.glibc(glibc).licence is not None


def test_the_second_time_no_program_is_started(
    here: Path, glibc: Toolchain, started: Started
) -> None:
    first = content(project(here), glibc)
    assert started()
    os.utime("main.c")
    assert content([Path("main.c")], glibc) == first
    assert started() == []


def test_whatever_a_program_is_made_from_makes_it_anew(
    here: Path, glibc: Toolchain, started: Started
) -> None:
    """And what is as it once was, is found again."""
    files = project(here)
    first = content(files, glibc)
    (here / "word.h").write_text('#define WORD "other"\n')
    assert content(files, glibc) != first, "a header"
    (here / "main.c").write_text(f"{MAIN}int more = 1;\n")
    content(files, glibc)
    assert len(compilers(started())) == 3, "a C file"
    project(here)
    assert content(files, glibc) == first
    assert compilers(started()) == []
    program.compile(files, toolchain=glibc, flags=["-O0"])
    assert len(compilers(started())) == 1, "the flags"


def test_a_header_that_comes_before_another_of_its_name_is_seen(
    here: Path, glibc: Toolchain
) -> None:
    files = project(here)
    (here / "include").mkdir()
    (here / "word.h").rename(here / "include" / "word.h")
    first = program.compile(files, toolchain=glibc, include=[Path("include")])
    (here / "word.h").write_text('#define WORD "nearer"\n')
    second = program.compile(files, toolchain=glibc, include=[Path("include")])
    assert b"hello" in first.path(program.NAME).read_bytes()
    assert b"nearer" in second.path(program.NAME).read_bytes()


def test_of_two_programs_only_the_changed_one_is_compiled(
    here: Path, glibc: Toolchain, started: Started
) -> None:
    files = project(here)
    (here / "other.c").write_text("int main(void) { return 0; }\n")
    for _ in range(2):
        content(files, glibc)
        content([Path("other.c")], glibc)
    assert len(compilers(started())) == 2
    (here / "other.c").write_text("int main(void) { return 1; }\n")
    content(files, glibc)
    content([Path("other.c")], glibc)
    (line,) = compilers(started())
    assert "-c other.c " in line


@pytest.mark.parametrize(("strip", "flag"), [(True, "-O1"), (False, "-O1"), (False, "-flto")])
def test_the_same_bytes_wherever_it_is_compiled(
    tmp_path: Path, glibc: Toolchain, monkeypatch: pytest.MonkeyPatch, strip: bool, flag: str
) -> None:
    """By a relative name, an absolute one, from another directory, with another umask."""
    found = []
    for name, mask in (("one", 0o022), ("another place", 0o077)):
        here = tmp_path / name / "source"
        here.mkdir(parents=True)
        before = os.umask(mask)
        project(here, TELLTALE, WHERE)
        (here / "more.c").write_text('const char *const more = __FILE__;\n#include "word.h"\n')
        monkeypatch.chdir(here)
        names = (["main.c", "more.c"], [here / "main.c", here / "more.c"])
        for files in names:
            made = program.compile(
                [Path(one) for one in files], toolchain=glibc, flags=["-g", flag], strip=strip
            )
            found.append(made.path(program.NAME).read_bytes())
        monkeypatch.chdir(here.parent)
        files = [Path("source/main.c"), Path("source/more.c")]
        made = program.compile(files, toolchain=glibc, flags=["-g", flag], strip=strip)
        found.append(made.path(program.NAME).read_bytes())
        os.umask(before)
    assert len(set(found)) == 1
    assert str(tmp_path).encode() not in found[0]
    assert b"Jan  1 2025" in found[0]


def test_the_compilers_own_words_with_the_names_that_a_person_knows(
    here: Path, glibc: Toolchain
) -> None:
    (here / "src").mkdir()
    (here / "src" / "a.c").write_text("int main(void)\n{\n    return x;\n}\n")
    with pytest.raises(CommandError) as caught:
        program.compile([Path("src/a.c")], toolchain=glibc)
    lines = str(caught.value).splitlines()
    assert lines[0] == "src/a.c does not compile"
    assert any(line.startswith("src/a.c:3:12: error: ") for line in lines)
    assert "/tmp" not in str(caught.value)
    assert str(here) not in str(caught.value)


def test_an_assemblers_words_name_no_file_of_ours(here: Path, glibc: Toolchain) -> None:
    (here / "a.c").write_text('int main(void) { __asm__("nonsense"); return 0; }\n')
    with pytest.raises(CommandError, match="unknown mnemonic `nonsense'") as caught:
        program.compile([Path("a.c")], toolchain=glibc)
    assert "/tmp" not in str(caught.value)


def test_a_long_error_begins_at_its_beginning(here: Path, glibc: Toolchain) -> None:
    (here / "a.c").write_text(
        "\n".join(f"int f{number}(void) {{ return x; }}" for number in range(99))
    )
    with pytest.raises(CommandError) as caught:
        program.compile([Path("a.c")], toolchain=glibc)
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("a.c: In function ")
    assert "f0" in lines[1]
    assert lines[-1].endswith("more lines)")
    assert len(lines) < 70


def test_what_is_not_linked(here: Path, glibc: Toolchain) -> None:
    (here / "a.c").write_text("int other(void);\nint main(void) { return other(); }\n")
    with pytest.raises(CommandError) as caught:
        program.compile([Path("a.c")], toolchain=glibc)
    said = str(caught.value)
    assert "ld: a.c: in function `main':" in said
    assert "undefined reference to `other'" in said
    assert "another C file" in str(caught.value.hint)
    (here / "b.c").write_text("int other(void) { return 0; }\n")
    program.compile([Path("a.c"), Path("b.c")], toolchain=glibc)


def test_a_header_that_is_nowhere(here: Path, glibc: Toolchain) -> None:
    (here / "a.c").write_text('#include "nowhere.h"\nint main(void) { return 0; }\n')
    with pytest.raises(CommandError, match=r"nowhere\.h: No such file or directory") as caught:
        program.compile([Path("a.c")], toolchain=glibc)
    assert "-IDIRECTORY" in str(caught.value.hint)


def test_warnings_are_told_every_time(
    here: Path, glibc: Toolchain, notes: list[str], started: Started
) -> None:
    (here / "a.c").write_text("int main(void) { int unused; return 0; }\n")
    program.compile([Path("a.c")], toolchain=glibc)
    first = list(notes)
    assert "a.c:1:22: warning: unused variable" in first[0]
    started()
    program.compile([Path("a.c")], toolchain=glibc)
    assert (notes[1:], started()) == (first, [])


NET = """\
#include <netdb.h>
int net(void)
{
    struct addrinfo *found;
    return getaddrinfo("x", 0, 0, &found) || !gethostbyname("x");
}
"""
USER = """\
#include <pwd.h>
int net(void);
int main(void) { return net() || !getpwnam("x"); }
"""


def test_what_glibc_cannot_do_alone_is_said(here: Path, glibc: Toolchain, notes: list[str]) -> None:
    (here / "net.c").write_text(NET)
    (here / "user.c").write_text(USER)
    program.compile([Path("user.c"), Path("net.c")], toolchain=glibc)
    assert sorted(note.partition(":")[0] for note in notes) == [
        "net.c calls getaddrinfo(), gethostbyname()",
        "user.c calls getpwnam()",
    ]
    assert all('libc = "musl"' in note for note in notes)


def test_a_damaged_program_is_made_again(here: Path, glibc: Toolchain) -> None:
    made = program.compile(project(here), toolchain=glibc)
    whole = made.path(program.NAME).read_bytes()
    made.path(program.NAME).write_bytes(whole[:1000])
    assert content([Path("main.c")], glibc) == whole
    (made.stored.directory / "files" / "report.json").write_text("{" * 10)
    assert content([Path("main.c")], glibc) == whole
    (memory,) = made.stored.directory.parent.parent.glob("inputs/*.json")
    memory.write_text("[3]")
    assert content([Path("main.c")], glibc) == whole


def test_a_flag_that_makes_something_else(here: Path, glibc: Toolchain) -> None:
    with pytest.raises(ConfigError, match="what was compiled is not linked") as caught:
        program.compile(project(here), toolchain=glibc, flags=["-Wl,-r"])
    assert "flags" in str(caught.value.hint)


def test_a_host_without_a_compiler(
    here: Path, glibc: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(here))
    with pytest.raises(MissingToolError) as caught:
        program.compile(project(here), toolchain=glibc)
    assert caught.value.hint == "apt install gcc-aarch64-linux-gnu"


def test_what_changes_while_it_is_compiled_is_an_error(here: Path) -> None:
    (here / "a.h").touch()
    since = (here / "a.h").stat().st_ctime_ns
    inputs.remember("key", [str(here / "a.h")], since=since)
    with pytest.raises(ConfigError, match=r"a\.h changed while it was compiled"):
        inputs.remember("key", [str(here / "a.h")], since=since - 1)


def test_names_in_rules() -> None:
    rule = "a\\ b.o: a\\ b.c \\\n /x/y\\#z.h /usr/$$x.h\n"
    assert inputs.of_compiler(rule) == ["a b.c", "/x/y#z.h", "/usr/$x.h"]
    rule = "a b: \\\n  /x y/libc.a \\\n  /z.o\n\n/x y/libc.a:\n\n/z.o:\n"
    assert inputs.of_linker(rule) == ["/x y/libc.a", "/z.o"]


def test_a_name_with_everything_in_it(here: Path, glibc: Toolchain, started: Started) -> None:
    directory = here / "a b's $(x) # ü %"
    directory.mkdir()
    project(directory)
    files = [directory / "main.c"]
    content(files, glibc)
    started()
    content(files, glibc)
    assert started() == []
    (directory / "word.h").write_text('#define WORD "new"\n')
    assert b"new" in content(files, glibc)
    shutil.copy(directory / "main.c", here / "-x.c")
    (here / "word.h").write_text('#define WORD "minus"\n')
    assert b"minus" in content([Path("-x.c")], glibc)
