"""``[[source]] type = "make"``: what a recipe may say, and what comes into the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import elf, initscripts
from rootfs_tool.arch import Arch
from rootfs_tool.recipe import find
from rootfs_tool.sources import Make
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import File, Tree
from tests.test_recipe import mistakes

CHECKOUT = Path(__file__).parent.parent.parent
RECIPE = """\
board = "qemu-aarch64"
[[source]]
type = "make"
directory = "src"
target = ["all", "tools"]
variables = { DEBUG = "0" }
programs = { "server" = "/usr/bin/server", "out/tool" = "/usr/bin/tool" }
libc = "glibc"
"""
MAKEFILE = """\
all: server
tools: out/tool
server: main.c
\t$(CC) $< -o $@
out/tool: main.c
\tmkdir -p out
\t$(CC) -DDEBUG=$(DEBUG) $< -o $@
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Makefile").write_text(MAKEFILE)
    (tmp_path / "src" / "main.c").write_text("int main(void) { return 0; }\n")
    return tmp_path / "src"


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ('directory = "src"\n', "", "source[0].directory: is missing"),
        ('directory = "src"', 'directory = "scr"', "source[0].directory: there is no directory "),
        ('"out/tool"', '"../tool"', "must be a path below the directory"),
        ('"out/tool"', '"/tool"', "must be a path below the directory"),
        ('"/usr/bin/tool"', '"tool"', "must be an absolute path on the board"),
        ('"all"', '"CC=gcc"', "must be a target of the Makefile"),
        ('"all"', '"-k"', "must be a target of the Makefile"),
        ("DEBUG =", '"A B" =', "must be a variable of the Makefile"),
        ("programs", "program", 'unknown key; did you mean "programs"?'),
    ],
)
def test_mistakes(tmp_path: Path, line: str, instead: str, said: str) -> None:
    (tmp_path / "src").mkdir()
    assert line in RECIPE
    found = mistakes(tmp_path / "recipe.toml", RECIPE.replace(line, instead))
    assert said in "\n".join(found)


@pytest.mark.network
def test_musl_for_a_project(project: Path) -> None:
    lock = CHECKOUT / "boards" / "qemu-aarch64.lock"
    source = Make(directory=project, programs={"server": "/usr/bin/server"}, libc="musl")
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as archive:
        program, musl = source.fetch(archive)
    assert musl.name == "musl-dev"
    elf.check(program.path, Arch.aarch64)
    assert program.path.stat().st_size < 16_000, "glibc's is 600,000"


def test_its_programs_come_into_the_tree(tmp_path: Path, cache: Path, project: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (source,) = find(str(tmp_path / "recipe.toml"))[0].source
    assert isinstance(source, Make)
    assert source.directory == project
    tree = Tree()
    initscripts.skeleton(tree)
    with Archive(suite="trixie", arch=Arch.aarch64, lock=tmp_path / "lock") as archive:
        artefacts = source.fetch(archive)
    for artefact in artefacts:
        source.install(artefact, tree)
    by_name = {artefact.name: artefact for artefact in artefacts}
    for name in ("/usr/bin/server", "/usr/bin/tool"):
        assert tree.get(name) == File(content=by_name.pop(name).path, mode=0o755)
    (libc,) = by_name.values()
    assert libc.licence is not None
