"""The archive as other programs read it, and that it is always the same."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from rootfs_tool import events, newc
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem import cpio as filesystem
from rootfs_tool.images import Cpio
from rootfs_tool.images.base import Contents
from rootfs_tool.tree import Device, Directory, File, Symlink, Tree

EPOCH = 1_735_689_600


def a_tree(host: Path) -> Tree:
    """One of everything; ``host`` is a directory for the file that lies on disk."""
    (host / "on disk").write_bytes(b"0123456789" * 300_000)
    tree = Tree()
    tree.add("/dev/console", Device(kind="char", major=5, minor=1), origin="a")
    tree.add("/dev/sda", Device(kind="block", major=8, minor=0, gid=6, mode=0o660), origin="a")
    tree.add("/etc/empty", File(content=b""), origin="a")
    tree.add("/etc/shadow", File(content=b"root::\n", mode=0o600, gid=42), origin="a")
    tree.add("/tmp", Directory(mode=0o1777), origin="a")
    tree.add("/usr/bin/su", File(content=b"\x7fELF", mode=0o4755), origin="a")
    tree.add("/usr/bin/a name, with spaces", File(content=b"x"), origin="a")
    tree.add("/usr/lib/big", File(content=host / "on disk", uid=1000, gid=1000), origin="a")
    tree.add("/sbin", Symlink("usr/bin"), origin="a")
    return tree


def written(tree: Tree, tmp_path: Path, compression: str, name: str = "x") -> Path:
    image = Cpio.model_validate({"compression": compression})
    out = tmp_path / name
    image.write(Contents(rootfs=tree, initramfs=tree), out, epoch=EPOCH)
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def taken(image: Path, compression: str, *options: str, into: Path) -> str:
    """What the real decompressor and the real cpio make of it, one archive after the other."""
    take = 'cpio --quiet --no-absolute-filenames "$@"'
    unpack = {"zstd": "zstd -dc", "gzip": "gzip -dc", "none": "cat"}[compression]
    script = f'{unpack} "$0" | {{ {take}{f" && {take}" if compression == "zstd" else ""}; }}'
    return subprocess.run(
        ["sh", "-c", script, image, *options],
        cwd=into,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        check=True,
        capture_output=True,
    ).stdout.decode()


def extracted(image: Path, compression: str, into: Path) -> Path:
    into.mkdir()
    options = ("--extract", "--make-directories", "--preserve-modification-time")
    taken(image, compression, *options, into=into)
    return into


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_cpio_lists_what_is_in_the_tree(tmp_path: Path, compression: str) -> None:
    out = written(a_tree(tmp_path), tmp_path, compression)
    listing = taken(
        out, compression, "--list", "--verbose", "--numeric-uid-gid", into=tmp_path
    ).splitlines()
    rows = [line.split(maxsplit=4) for line in listing]
    found = {row[4].split("2025 ", 1)[1]: (row[0], row[2], row[3]) for row in rows}
    in_order = sorted(found, key=lambda name: Path(name).parts)  # parents come first
    if compression == "zstd":
        in_order.sort(key=lambda name: not name.startswith("usr"))
    assert list(found) == in_order
    assert found == {
        ".": ("drwxr-xr-x", "0", "0"),
        "dev": ("drwxr-xr-x", "0", "0"),
        "dev/console": ("crw-------", "0", "0"),
        "dev/sda": ("brw-rw----", "0", "6"),
        "etc": ("drwxr-xr-x", "0", "0"),
        "etc/empty": ("-rw-r--r--", "0", "0"),
        "etc/shadow": ("-rw-------", "0", "42"),
        "sbin -> usr/bin": ("lrwxrwxrwx", "0", "0"),
        "tmp": ("drwxrwxrwt", "0", "0"),
        "usr": ("drwxr-xr-x", "0", "0"),
        "usr/bin": ("drwxr-xr-x", "0", "0"),
        "usr/bin/a name, with spaces": ("-rw-r--r--", "0", "0"),
        "usr/bin/su": ("-rwsr-xr-x", "0", "0"),
        "usr/lib": ("drwxr-xr-x", "0", "0"),
        "usr/lib/big": ("-rw-r--r--", "1000", "1000"),
    }


@pytest.mark.root
def test_cpio_extracts_devices_owners_and_bytes(tmp_path: Path) -> None:
    out = written(a_tree(tmp_path), tmp_path, "zstd")
    root = extracted(out, "zstd", tmp_path / "root")
    console = (root / "dev" / "console").stat()
    assert stat.S_ISCHR(console.st_mode)
    assert (os.major(console.st_rdev), os.minor(console.st_rdev)) == (5, 1)
    big = root / "usr" / "lib" / "big"
    assert big.read_bytes() == (tmp_path / "on disk").read_bytes()
    assert (big.stat().st_uid, big.stat().st_mtime) == (1000, EPOCH)
    assert (root / "sbin").readlink() == Path("usr/bin")
    assert (root / "usr" / "bin" / "su").stat().st_mode & 0o7777 == 0o4755


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, compression: str) -> None:
    first = written(a_tree(tmp_path), tmp_path, compression, "first").read_bytes()
    again = Tree()
    for path, node in reversed(list(a_tree(tmp_path).walk())):  # added in another order,
        if isinstance(node, File) and isinstance(node.content, Path):  # from memory, not from disk
            node = File(content=node.content.read_bytes(), uid=node.uid, gid=node.gid)
        again.add(path, node, origin="b", replace=True)
    (tmp_path / "on disk").touch()
    old = os.umask(0o077)
    try:
        assert written(again, tmp_path, compression, "second").read_bytes() == first
    finally:
        os.umask(old)


def test_the_bytes_are_those_of_every_release(tmp_path: Path) -> None:
    """They change only with the compressor or the format: a change here wants a CHANGELOG line."""
    tree = Tree()
    tree.add("/init", File(content=b"#!/bin/sh\n" * 100_000, mode=0o755), origin="a")
    digests = {
        one: hashlib.sha256(written(tree, tmp_path, one).read_bytes()).hexdigest()[:16]
        for one in ("zstd", "none")
    }
    assert digests == {"zstd": "c6a0d0114344deb0", "none": "e3ed9803b7cf7983"}
    tree.add("/usr/bin/busybox", File(content=b"\x7fELF" * 100_000, mode=0o755), origin="a")
    two = written(tree, tmp_path, "zstd").read_bytes()
    assert hashlib.sha256(two).hexdigest()[:16] == "6899394ca7b7d7c3"


@pytest.mark.parametrize("processors", [1, 3, 8])
def test_the_bytes_do_not_depend_on_the_number_of_processors(
    tmp_path: Path, processors: int
) -> None:
    tree = Tree()
    content = bytes(n * n % 251 for n in range(3 * newc.ZSTD_JOB))
    tree.add("/jobs", File(content=content), origin="a")
    archive = written(tree, tmp_path, "none").read_bytes()
    how = zstandard.ZstdCompressionParameters.from_level(
        newc.ZSTD_LEVEL,
        source_size=len(archive),
        threads=processors,
        job_size=newc.ZSTD_JOB,
        write_checksum=True,
    )
    expected = zstandard.ZstdCompressor(compression_params=how).compress(archive)
    assert written(tree, tmp_path, "zstd").read_bytes() == expected


def test_two_archives_are_what_one_would_be(tmp_path: Path) -> None:
    tree = a_tree(tmp_path)
    one, two = (filesystem.Cpio(written(tree, tmp_path, how, how)) for how in ("none", "zstd"))
    entries = [
        {
            entry.path: (replace(entry, extents=()), b"".join(each.read(entry)))
            for entry in each.entries()
        }
        for each in (one, two)
    ]
    assert entries[0] == entries[1]
    assert (one.compressions, two.compressions) == (["none"], ["zstd", "zstd"])


def test_the_name_says_how_it_is_compressed() -> None:
    names = [Cpio.model_validate({"compression": one}).filename for one in ("zstd", "gzip", "none")]
    assert names == ["initramfs.cpio.zst", "initramfs.cpio.gz", "initramfs.cpio"]


def test_a_file_that_is_too_large_for_the_format(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 32)
    tree = Tree()
    tree.add("/huge", File(content=tmp_path / "huge"), origin="a")
    with pytest.raises(ConfigError, match=r"/huge is larger than .*4 GiB"):
        written(tree, tmp_path, "none")


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    tree = Tree()
    tree.add("/gone", File(content=tmp_path / "gone"), origin="a")
    with pytest.raises(ConfigError, match="gone: No such file"):
        written(tree, tmp_path, "zstd")


def test_a_file_that_is_not_as_long_as_the_system_says(tmp_path: Path) -> None:
    tree = Tree()
    tree.add("/version", File(content=Path("/proc/version")), origin="a")  # its size is 0
    with pytest.raises(ConfigError, match="/proc/version changed while it was read"):
        written(tree, tmp_path, "zstd")


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    tree = Tree()
    tree.add(os.fsdecode(b"/caf\xe9"), Symlink(os.fsdecode(b"\xff")), origin="a")
    root = extracted(written(tree, tmp_path, "none"), "none", tmp_path / "root")
    assert os.listdir(os.fsencode(root)) == [b"caf\xe9"]  # noqa: PTH208  # as bytes


def test_attributes_that_are_lost_are_noted(tmp_path: Path) -> None:
    tree = a_tree(tmp_path)
    tree.add("/usr/bin/ping", File(content=b"x", xattrs=(("user.a", b"1"),)), origin="a")
    heard: list[str] = []
    with events.listening(lambda event: heard.append(event.text)):
        written(tree, tmp_path, "none")
    assert heard == ["an initramfs can't hold extended attributes, such as those of /usr/bin/ping"]
