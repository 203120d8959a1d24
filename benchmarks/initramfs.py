"""An initramfs with BusyBox against Buildroot's way, and one changed line with a cache.

The peer has the finished rootfs lying there as files, and does what Buildroot's fs/cpio and its
gzip do: fakeroot, chown, find, sort, cpio, ``gzip -9n``. It is timed against ``build``, which
begins with the profile, and copies and hashes a kernel of 38 MB besides; and against a Python
program that begins with the same files and gives them to ``newc.write``. The packages are in the
cache, but nothing compressed is.

Then a line of an init script changes, and the cache has all else: the goal is that program's.
``build`` of a recipe whose overlay has the script is told beside it, without a goal: most of it
is the loading of what reads profiles (pydantic). All are whole processes, start of Python included.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.side_by_side import compare, report
from rootfs_tool import manifest, paths

BOARD = "qemu-aarch64"
PROGRAM = Path(sys.executable).with_name("rootfs-tool")
GOAL = 0.65
GOAL_CHANGED = 0.10  # seconds
BUILDROOT = """\
cd "$1"
fakeroot sh -c '
    chown -h -R 0:0 .
    find | sort | cpio --quiet --reproducible -o -H newc --owner=0:0
' | gzip -9n >"$2"
"""
# There are two archives in it; devices want root.
UNPACK = """\
take="cpio --extract --make-directories --quiet --nonmatching dev/*"
zstd -dc "$1" | { $take && $take; }
"""
LIBRARY = """\
import gc, os, stat, sys
gc.disable()  # as rootfs-tool does while it loads
from pathlib import Path
from rootfs_tool import newc
from rootfs_tool.tree import Directory, File, Symlink, Tree

root, out = map(Path, sys.argv[1:])
tree = Tree()
for directory, names, files in os.walk(root):
    for name in sorted(names + files):
        path = Path(directory, name)
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            node = Symlink(os.readlink(path))
        elif stat.S_ISDIR(mode):
            node = Directory(mode=stat.S_IMODE(mode))
        else:
            node = File(content=path, mode=stat.S_IMODE(mode))
        tree.add(path.as_posix().removeprefix(str(root)), node, origin="the disk")
newc.write(tree, out, epoch=0)
"""
lines = itertools.count()


def build(what: str | Path, out: Path) -> None:
    subprocess.run([PROGRAM, "build", what, "-o", out], check=True, capture_output=True)


def forget() -> None:
    shutil.rmtree(paths.cache() / "segments", ignore_errors=True)


def from_the_profile(here: Path) -> None:
    forget()
    build(BOARD, here / "out")


def from_files(here: Path) -> None:
    argv: list[str | Path] = [sys.executable, "-c", LIBRARY]
    argv += [here / "tree", here / "initramfs.cpio.zst"]
    subprocess.run(argv, check=True)


def from_files_alone(here: Path) -> None:
    forget()
    from_files(here)


def buildroot(here: Path) -> None:
    argv: list[str | Path] = ["sh", "-c", BUILDROOT, "sh"]
    argv += [here / "tree", here / "rootfs.cpio.gz"]
    subprocess.run(argv, check=True)


def one_line(script: Path) -> None:
    script.write_text(f"#!/bin/sh\necho {next(lines)}\n")


def with_build(here: Path) -> None:
    one_line(here / "overlay" / "etc" / "init.d" / "S99mine")
    build(here / "recipe.toml", here / "out")


def with_files(here: Path) -> None:
    one_line(here / "tree" / "etc" / "init.d" / "S99mine")
    from_files(here)


def set_up(here: Path) -> None:
    """A cache with the user's packages and nothing compressed, a recipe, the rootfs as files."""
    build(BOARD, here / "out")
    user = paths.cache()
    os.environ["XDG_CACHE_HOME"] = str(here / "cache")
    for kind in ("apt", "init", "modules", "unpacked"):
        (paths.cache() / kind).symlink_to(user / kind)
    build(BOARD, here / "out")
    (here / "tree").mkdir()
    image = manifest.load(here / "out").image("cpio")
    subprocess.run(["sh", "-c", UNPACK, "sh", image], cwd=here / "tree", check=True)
    (here / "overlay" / "etc" / "init.d").mkdir(parents=True)
    (here / "recipe.toml").write_text(f'board = "{BOARD}"\noverlay = ["overlay"]\n')
    shutil.copy(paths.packaged("boards") / f"{BOARD}.lock", here / "recipe.lock")


os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary:
    here = Path(temporary)
    set_up(here)
    whole = compare(lambda: from_the_profile(here), lambda: buildroot(here), rounds=15)
    files = compare(lambda: from_files_alone(here), lambda: buildroot(here), rounds=15)
    changed = compare(lambda: with_files(here), lambda: with_build(here), rounds=15)
report(f"build {BOARD}", "fakeroot + cpio + gzip -9n", whole, goal=GOAL)
report("newc.write of the same files", "fakeroot + cpio + gzip -9n", files, goal=GOAL)
verdict = "ok" if changed.ours <= GOAL_CHANGED else "MISSED"
print(
    f"one changed line: newc.write {changed.ours * 1000:.0f} ms "
    f"(at most {GOAL_CHANGED * 1000:.0f}) {verdict}, build {changed.peer * 1000:.0f} ms"
)
