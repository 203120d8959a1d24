"""``[[source]] type = "cc"``: what a recipe may say, and what comes into the tree."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rootfs_tool import elf, initscripts, paths
from rootfs_tool.arch import Arch
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import find
from rootfs_tool.sources import Cc
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import File, Tree
from tests.test_recipe import mistakes

CHECKOUT = Path(__file__).parent.parent.parent
RECIPE = """\
board = "qemu-aarch64"
[[source]]
type = "cc"
files = ["src/a.c"]
to = "/usr/bin/a"
include = ["include"]
flags = ["-std=c99", "-lm"]
libc = "musl"
mode = 0o4755
strip = false
"""


def fetched(source: Cc, lock: Path) -> tuple[Artefact, ...]:
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as archive:
        return source.fetch(archive)


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.c"
    path.write_text('#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n')
    return path


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.c").touch()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe, _ = find(str(tmp_path / "recipe.toml"))
    assert recipe.source == (
        Cc(
            files=(tmp_path / "src" / "a.c",),
            to="/usr/bin/a",
            include=(tmp_path / "include",),
            flags=("-std=c99", "-lm"),
            libc="musl",
            mode=0o4755,
            strip=False,
        ),
    )


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ('files = ["src/a.c"]', "files = []", "source[0].files: must have at least 1 elements"),
        ('"src/a.c"', '"src/b.c"', "source[0].files[0]: there is no file "),
        ('to = "/usr/bin/a"', 'to = "bin/a"', "must be an absolute path on the board"),
        ('to = "/usr/bin/a"', 'to = "/usr/bin/"', "must be an absolute path on the board"),
        ('libc = "musl"', 'libc = "muls"', 'not "muls"; did you mean "musl"?'),
        ('"-lm"', '"lm"', "an option of the compiler, which begins with -"),
        ('"-lm"', '"-ox"', "-ox is no flag here"),
        ('"-lm"', '"-shared"', "-shared is no flag here"),
        ('"-lm"', '"-Iinclude"', 'relative to nothing; include = ["directory"] adds headers'),
        ("strip = false", "striped = false", 'unknown key; did you mean "strip"?'),
    ],
)
def test_mistakes(tmp_path: Path, line: str, instead: str, said: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.c").touch()
    assert line in RECIPE
    found = mistakes(tmp_path / "recipe.toml", RECIPE.replace(line, instead))
    assert said in "\n".join(found)


def test_a_program_comes_into_the_tree(tmp_path: Path, cache: Path, hello: Path) -> None:
    source = Cc(files=(hello,), to="/usr/bin/hello", mode=0o755)
    program, libc = fetched(source, tmp_path / "lock")
    assert program.sha256 == hashlib.sha256(program.path.read_bytes()).hexdigest()
    assert program.origin.startswith("compiled from hello.c by aarch64-linux-gnu-gcc, with libc6")
    assert libc.name == "libc6-dev-arm64-cross"
    assert libc.licence is not None, "glibc is in the program, so is its licence in out/"
    tree = Tree()
    initscripts.skeleton(tree)
    for artefact in (program, libc):
        source.install(artefact, tree)
    assert tree.get("/usr/bin/hello") == File(content=program.path, mode=0o755)
    with pytest.raises(ConfigError, match="comes from the program hello, compiled from hello"):
        tree.add("/usr/bin/hello", File(content=b""), origin="another")


def test_a_file_that_is_not_there(tmp_path: Path, cache: Path, hello: Path) -> None:
    source = Cc(files=(hello.with_name("helo.c"),), to="/usr/bin/hello")
    with pytest.raises(ConfigError, match=r'no file .*helo\.c; did you mean "hello\.c"'):
        fetched(source, tmp_path / "lock")


@pytest.mark.network
def test_musl_is_pinned_small_and_brings_its_licence(
    tmp_path: Path, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes too, wherever the cache that has musl is."""
    lock = CHECKOUT / "boards" / "qemu-aarch64.lock"
    before = lock.read_bytes()
    source = Cc(files=(hello,), to="/bin/hello", libc="musl", flags=("-g",), strip=False)
    found = []
    for name in ("", "the cache"):
        if name:
            unpacked = paths.cache() / "unpacked"
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
            (paths.cache() / "unpacked").symlink_to(unpacked)
        program, musl = fetched(source, lock)
        found.append(program.sha256)
        assert musl.licence is not None
        assert "Rich Felker" in musl.licence.read_text()
    assert len(set(found)) == 1
    program, _ = fetched(source.model_copy(update={"flags": (), "strip": True}), lock)
    elf.check(program.path, Arch.aarch64)
    assert program.path.stat().st_size < 16_000, "glibc's is 600,000"
    assert lock.read_bytes() == before, "the packaged boards pin musl"
