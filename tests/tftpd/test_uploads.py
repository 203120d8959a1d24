"""Files that arrive whole, or leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd.base import MIB, Code, Refused
from rootfs_tool.tftpd.directory import Directory
from rootfs_tool.tftpd.uploads import PREFIX, Uploads
from tests.loop import attached, mounted, output


@contextmanager
def uploads(directory: Path, *, overwrite: bool = False, largest: int = MIB) -> Iterator[Uploads]:
    with closing(Uploads(directory, overwrite=overwrite, largest=largest)) as one:
        one.prepare()
        yield one


def put(into: Uploads, name: bytes, content: bytes, size: int | None = None) -> None:
    arriving = into.create(name, size)
    try:
        arriving.write(content[:3])
        arriving.write(content[3:])
        arriving.commit()
    finally:
        arriving.discard()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("name", [b"file", b"sub/file", b"na\xefve"])
def test_a_file_arrives_whole(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "sub").mkdir()
    with uploads(tmp_path) as into:
        put(into, name, b"content", 7)
    arrived = tmp_path / os.fsdecode(name)
    assert arrived.read_bytes() == b"content"
    assert arrived.stat().st_nlink == 1
    assert not [one for one in names(tmp_path) if one.startswith(PREFIX.decode())]


def test_until_then_nobody_gets_it(tmp_path: Path) -> None:
    with uploads(tmp_path) as into, closing(Directory(tmp_path, uploads=into)) as served:
        arriving = served.create(b"file", "192.0.2.7", None)
        arriving.write(b"half")
        (temporary,) = names(tmp_path)
        for name in (b"file", temporary.encode()):
            with pytest.raises(Refused) as refused:
                served.open(name, "192.0.2.7")
            assert refused.value.code is Code.NOT_FOUND
        arriving.discard()
        arriving.discard()
    assert names(tmp_path) == []


def refusal(into: Uploads, name: bytes, content: bytes = b"new", size: int | None = None) -> Code:
    with pytest.raises(Refused) as refused:
        put(into, name, content, size)
    assert str(refused.value).isascii()
    return refused.value.code


def test_what_exists_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "directory").mkdir()
    with uploads(tmp_path) as into:
        for name in (b"file", b"link", b"directory"):
            assert refusal(into, name) is Code.EXISTS
        slow = into.create(b"fast", None)
        slow.write(b"slow")
        put(into, b"fast", b"fast")
        with pytest.raises(Refused) as refused:
            slow.commit()
        assert refused.value.code is Code.EXISTS
        slow.discard()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert (tmp_path / "fast").read_bytes() == b"fast"
    assert names(tmp_path) == ["directory", "fast", "file", "link"]


def test_unless_it_may_be_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")
    with uploads(tmp_path, overwrite=True) as into:
        put(into, b"file", b"new")
        assert refusal(into, b"directory") is Code.ACCESS_VIOLATION
        assert refusal(into, b"link") is Code.ACCESS_VIOLATION
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["directory", "file", "link"]


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "out").symlink_to("..")
    with uploads(inside) as into:
        assert refusal(into, b"out/file") is Code.ACCESS_VIOLATION
        assert refusal(into, b"none/file") is Code.ACCESS_VIOLATION
        assert refusal(into, PREFIX + b"1") is Code.ACCESS_VIOLATION
        with closing(Directory(inside, uploads=into)) as served:
            for name in (b"../file", b"..\\file", b"/", b""):
                with pytest.raises(Refused) as refused:
                    served.create(name, "192.0.2.7", None)
                assert refused.value.code is Code.ACCESS_VIOLATION
    assert names(tmp_path) == ["inside"]
    assert names(inside) == ["out"]


def test_what_is_too_large_is_refused_at_once_or_when_it_is(tmp_path: Path) -> None:
    with uploads(tmp_path, largest=10) as into:
        assert refusal(into, b"file", size=11) is Code.DISK_FULL
        assert refusal(into, b"file", b"x" * 11) is Code.DISK_FULL
        put(into, b"file", b"x" * 10, 10)
    assert names(tmp_path) == ["file"]


@pytest.mark.root
def test_a_full_disk_is_told_and_left_clean(tmp_path: Path) -> None:
    with attached(tmp_path / "disk", size=4 * MIB) as device:
        output("mke2fs", "-q", device)
        there = tmp_path / "mounted"
        with mounted(device, there):
            before = names(there)
            with uploads(there, largest=1024 * MIB) as into:
                assert refusal(into, b"file", size=100 * MIB) is Code.DISK_FULL
                assert refusal(into, b"file", b"x" * 8 * MIB) is Code.DISK_FULL
                assert names(there) == before
                put(into, b"small", b"small")
                assert refusal(into, b"small") is Code.EXISTS
            assert names(there) == sorted([*before, "small"])


KILLED = """
import os, signal, sys
from pathlib import Path
from rootfs_tool.tftpd.uploads import Uploads
Uploads(Path(sys.argv[1])).create(b"file", None).write(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_server_left_is_swept_but_not_another_s(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = names(tmp_path)
    with closing(Uploads(tmp_path)) as other:
        arriving = other.create(b"file", None)
        arriving.write(b"whole")
        with uploads(tmp_path):
            assert left not in names(tmp_path)
        arriving.commit()
    assert names(tmp_path) == ["file"]


def test_a_directory_that_is_none_or_not_ours_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Uploads(tmp_path / "none")
    with closing(Uploads(Path("/proc/self"))) as one, pytest.raises(ConfigError, match="may not"):
        one.prepare()
