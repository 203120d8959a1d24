"""A directory with one of everything, of which real tools make the images that are read."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry, Filesystem

TIME = 1_735_689_600


def fill(root: Path) -> Path:
    """Make the directory, which an ordinary user can."""
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "empty").touch()
    (root / "etc" / "fstab").write_text("none /proc proc\n")
    (root / "etc" / "fstab").chmod(0o600)
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "usr" / "lib" / "random").write_bytes(os.urandom(700_001))
    (root / "usr" / "lib" / "zeros").write_bytes(bytes(500_000))
    (root / "usr" / "lib" / "text").write_text("".join(f"line {n}\n" for n in range(60_000)))
    (root / "usr" / "lib" / "text").chmod(0o4755)
    (root / "usr" / "lib" / "again").hardlink_to(root / "usr" / "lib" / "text")
    (root / "lib").symlink_to("usr/lib")
    (root / "a name, \n and \x1b[31m").write_text("x")
    (root / os.fsdecode(b"caf\xe9")).write_text("y")
    os.mkfifo(root / "fifo")
    many = root / "many"
    many.mkdir()
    for n in range(700):
        (many / f"file {n:03}").write_text(f"{n}\n")
    for path in (*root.rglob("*"), root):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    return root


def add_what_only_root_can(root: Path) -> None:
    os.mknod(root / "console", stat.S_IFCHR | 0o600, os.makedev(5, 300))
    os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.chown(root / "etc" / "fstab", 1000, 70_000)
    os.chown(root / "lib", 7, 8, follow_symlinks=False)


def add_xattrs(root: Path) -> None:
    os.setxattr(root / "etc", "user.on a directory", b"d")
    os.setxattr(root / "etc" / "fstab", "user.short", b"\0\1\2")
    os.setxattr(root / "etc" / "empty", "user.short", b"\0\1\2")
    os.setxattr(root / "etc" / "fstab", "user.long", b"0123456789" * 300)


def run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def assert_the_same(filesystem: Filesystem, root: Path, *, xattrs: bool = True) -> None:
    """All that is in the directory is in the image, and nothing else."""
    entries = list(filesystem.entries())
    assert entries == sorted(entries, key=lambda entry: entry.path)
    paths = {Path("/"), *(Path("/", path.relative_to(root)) for path in root.rglob("*"))}
    assert {Path(entry.path) for entry in entries} == paths
    for entry in entries:
        host = root / entry.path.relative_to("/")
        assert _described(entry) == _of_host(host), entry.path
        if xattrs and not stat.S_ISLNK(entry.mode):
            assert dict(entry.xattrs) == {
                name: os.getxattr(host, name) for name in os.listxattr(host)
            }
        if stat.S_ISREG(entry.mode):
            assert b"".join(filesystem.read(entry)) == host.read_bytes(), entry.path


def assert_extents_hold_the_bytes(filesystem: Filesystem, image: Path) -> None:
    """Where a file says that its bytes lie, there they are; some files must say so."""
    raw, said = image.read_bytes(), 0
    for entry in filesystem.entries():
        if entry.extents:
            there = b"".join(raw[start : start + length] for start, length in entry.extents)
            assert there == b"".join(filesystem.read(entry)), entry.path
            said += 1
    assert said


def assert_survives_flips(reader: type[Filesystem], image: Path, places: Sequence[int]) -> None:
    """With other bytes at such places an image is read, or refused in a sentence; never more."""
    good, chosen, told = image.read_bytes(), random.Random(3), 0
    for _ in range(60):
        bad = bytearray(good)
        bad[chosen.choice(places)] ^= chosen.randrange(1, 256)
        image.write_bytes(bad)
        try:
            filesystem = reader(image)  # type: ignore[call-arg]
            for entry in filesystem.entries():
                for _piece in filesystem.read(entry):
                    pass
        except ConfigError:
            told += 1
    assert told > 10


def _described(entry: Entry) -> tuple[object, ...]:
    size = entry.size if stat.S_ISREG(entry.mode) else 0
    device = (entry.major, entry.minor)
    return entry.mode, entry.uid, entry.gid, entry.mtime, size, entry.to, device


def _of_host(path: Path) -> tuple[object, ...]:
    st = path.lstat()
    size = st.st_size if stat.S_ISREG(st.st_mode) else 0
    to = str(path.readlink()) if path.is_symlink() else ""
    device = (os.major(st.st_rdev), os.minor(st.st_rdev))
    return st.st_mode, st.st_uid, st.st_gid, int(st.st_mtime), size, to, device
