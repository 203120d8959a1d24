"""``rootfs-tool cc`` as a person types it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rootfs_tool import elf
from rootfs_tool.arch import Arch
from tests.command import PROGRAM, rootfs_tool

CHECKOUT = Path(__file__).parent.parent.parent
HELLO = '#include <stdio.h>\nint main(void) { return puts("hello " __DATE__) < 0; }\n'
ELSEWHERE = """\
import os, sys
os.umask(0o077)
sys.argv[0] = "rootfs-tool"
from rootfs_tool.cli import main
main()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with some C in it, that we are in, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("hello.c").write_text(HELLO)
    Path("wrong.c").write_text("int main(void) { return x; }\n")
    Path("hello.cpp").touch()
    Path("directory.c").mkdir()
    Path("bin").mkdir()
    Path("file").write_text("what was there\n")
    return Path.cwd()


def test_a_program(here: Path) -> None:
    ran = rootfs_tool("cc", "hello.c", "-o", "bin/hello", "--", "-std=c99", "-Wextra", "-lm")
    assert ran.status == 0, ran.said
    digest = hashlib.sha256(Path("bin/hello").read_bytes()).hexdigest()
    assert ran.stdout == f"{digest}  bin/hello\n"
    elf.check(Path("bin/hello"), Arch.aarch64)
    mask = os.umask(0)
    os.umask(mask)
    assert Path("bin/hello").stat().st_mode & 0o7777 == 0o777 & ~mask
    assert list(Path("bin").iterdir()) == [Path("bin/hello")]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("hello.c",), 2, "Missing option '-o'"),
        (("-o", "out"), 2, "Missing argument 'FILE.c..."),
        (("-o", "out", "--", "-O2"), 2, "there is no C file to compile"),
        (("helo.c", "-o", "out"), 2, 'no file helo.c; did you mean "hello.c"?'),
        (("hello.cpp", "-o", "out"), 2, "hello.cpp is a C++ file"),
        (("file", "-o", "out"), 2, "file is no C file"),
        (("directory.c", "-o", "out"), 2, "directory.c is a directory"),
        (("hello.c", "-o", "bin"), 2, "bin is a directory\n hint: -o bin/hello"),
        (("hello.c", "-o", "hello.c"), 2, "hello.c is one of the C files"),
        (("hello.c", "-o", "./../here/hello.c"), 2, "is one of the C files"),
        (("hello.c", "-o", "nowhere/hello"), 2, "there is no directory nowhere"),
        (("hello.c", "-o", "/proc/hello"), 2, "/proc/hello: "),
        (("hello.c", "-o", "out", "--libc", "muls"), 2, "'muls' is not one of"),
        (("hello.c", "-o", "out", "--board", "qemu-aarch46"), 2, "qemu-aarch64"),
        (("hello.c", "-o", "out", "--", "-c"), 2, "-c is no flag here"),
        (("hello.c", "-o", "out", "--", "-nonsense"), 5, "unrecognized command-line option"),
        (("hello.c", "hello.c", "-o", "out"), 5, "multiple definition of `main'"),
        (("wrong.c", "-o", "file"), 5, "wrong.c:1:25: error: "),
    ],
)
def test_what_cannot_be_done_is_said(
    here: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    ran = rootfs_tool("cc", *words)
    assert (ran.status, said in ran.stderr) == (status, True), ran.said
    assert Path("file").read_text() == "what was there\n"
    assert Path("hello.c").read_text() == HELLO
    assert not Path("out").exists()
    assert not list(Path().glob(".*"))


def test_an_interrupt_leaves_nothing(here: Path) -> None:
    """A compiler that never ends, which says who it is."""
    fake = here / "bin" / "aarch64-linux-gnu-gcc"
    fake.write_text(f"#!/bin/sh\necho $$ >{here}/pid\nexec sleep 600\n")
    fake.chmod(0o755)
    process = subprocess.Popen(
        [PROGRAM, "cc", "hello.c", "-o", "file"],
        env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while not (here / "pid").exists() or not (here / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, b"interrupted" in said) == (130, True), said
    assert Path("file").read_text() == "what was there\n"
    state = Path("/proc", (here / "pid").read_text().strip(), "stat")
    while state.exists() and ") Z " not in state.read_text():  # whoever adopts it, buries it
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.root
def test_another_user_elsewhere_next_year(here: Path, tmp_path: Path) -> None:
    ran = rootfs_tool("cc", "hello.c", "-o", "hello", "--debug-info", "--", "-g")
    assert ran.status == 0, ran.said
    elsewhere = tmp_path / "some where else"
    elsewhere.mkdir()
    shutil.copy("hello.c", elsewhere)
    for path in (elsewhere, elsewhere / "hello.c"):
        os.chown(path, 65534, 65534)
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(one.stat().st_mode | 0o711)
    subprocess.run(
        [
            *("setpriv", "--reuid=65534", "--clear-groups", "--regid=65534"),
            # the checkout may be in a home that nobody else can enter
            *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
            *("faketime", "2028-02-29 23:59:58"),
            *(sys.executable, "-c", ELSEWHERE, "cc", elsewhere / "hello.c"),
            *("-o", elsewhere / "hello", "--debug-info", "--", "-g"),
        ],
        check=True,
        cwd="/",
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(elsewhere),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "7",
            "TZ": "America/St_Johns",
            "LC_ALL": "tr_TR.UTF-8",
        },
    )
    assert (elsewhere / "hello").read_bytes() == Path("hello").read_bytes()
    assert b"Jan  1 2025" in Path("hello").read_bytes()
