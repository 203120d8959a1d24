"""What may and may not be had from a directory, by the kernel's way and by the walk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from rootfs_tool.tftpd import beneath
from rootfs_tool.tftpd.base import Code, Refused
from rootfs_tool.tftpd.directory import Directory
from tests.tftpd.conftest import SECRET, descriptors

NOBODY = 65534
PEER = "192.0.2.7"


@pytest.fixture(params=[beneath.by_kernel, beneath.by_walk], ids=["kernel", "walk"])
def served(
    root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Directory]:
    monkeypatch.setattr(beneath, "opener", lambda _: request.param)
    with closing(Directory(root)) as directory:
        yield directory


def content(directory: Directory, name: bytes) -> bytes:
    opened = directory.open(name, PEER)
    with open(opened.fd, "rb") as file:  # noqa: PTH123 # a descriptor has no path
        read = file.read()
    assert len(read) == opened.size
    return read


FOUND = {
    b"file": b"file",
    b"/file": b"file",
    b"//sub///./file": b"sub/file",
    b"./file": b"file",
    b"file/": b"file",
    b"sub\\file": b"sub/file",
    b"\\sub\\deep\\file": b"sub/deep/file",
    b"back\\slash": b"literal",
    b"na\xefve": b"naive",
    b"a name with spaces": b"spaces",
    b"empty": b"",
    b"inside": b"sub/file",
    b"sub/inside": b"file",
    b"sub/deep/directory/file": b"sub/file",
    b"chain": b"file",
}


@pytest.mark.parametrize("name", FOUND, ids=repr)
def test_files_are_found_by_every_spelling(served: Directory, name: bytes) -> None:
    assert content(served, name) == FOUND[name]


REFUSED = {
    b"": Code.ACCESS_VIOLATION,
    b".": Code.ACCESS_VIOLATION,
    b"/": Code.ACCESS_VIOLATION,
    b"..": Code.ACCESS_VIOLATION,
    b"../outside/secret.txt": Code.ACCESS_VIOLATION,
    b"../../../../../../etc/passwd": Code.ACCESS_VIOLATION,
    b"sub/../../outside/secret.txt": Code.ACCESS_VIOLATION,
    b"sub/../file": Code.ACCESS_VIOLATION,
    b"..\\outside\\secret.txt": Code.ACCESS_VIOLATION,
    b"sub\\..\\..\\outside\\secret.txt": Code.ACCESS_VIOLATION,
    b"/etc/passwd": Code.NOT_FOUND,
    b"nothing": Code.NOT_FOUND,
    b"dangling": Code.NOT_FOUND,
    b"file/file": Code.NOT_FOUND,
    b"file\0": Code.NOT_FOUND,
    b"f\0ile": Code.NOT_FOUND,
    b"x" * 300: Code.NOT_FOUND,
    b"x" * 60_000: Code.NOT_FOUND,
    b"x/" * 30_000: Code.NOT_FOUND,
    b"\xff\xfe": Code.NOT_FOUND,
    b"out": Code.ACCESS_VIOLATION,
    b"absolute": Code.ACCESS_VIOLATION,
    b"absolute-inside": Code.ACCESS_VIOLATION,
    b"outside/secret.txt": Code.ACCESS_VIOLATION,
    b"up/outside/secret.txt": Code.ACCESS_VIOLATION,
    b"round": Code.ACCESS_VIOLATION,
    b"chain-out": Code.ACCESS_VIOLATION,
    b"loop": Code.ACCESS_VIOLATION,
    b"magic": Code.ACCESS_VIOLATION,
    b"sub": Code.ACCESS_VIOLATION,
    b"fifo": Code.ACCESS_VIOLATION,
    b"socket": Code.ACCESS_VIOLATION,
    b".tftp-upload-0011": Code.NOT_FOUND,
}


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: repr(name[:40]))
def test_nothing_else_is(served: Directory, root: Path, name: bytes) -> None:
    (root / ".tftp-upload-0011").write_bytes(b"not whole yet")
    before = descriptors()
    with pytest.raises(Refused) as refused:
        served.open(name, PEER)
    assert refused.value.code is REFUSED[name]
    assert str(refused.value).isascii()
    assert descriptors() <= before


@pytest.mark.root
def test_a_device_is_refused(served: Directory, root: Path) -> None:
    os.mknod(root / "null", 0o020666, os.makedev(1, 3))
    with pytest.raises(Refused) as refused:
        served.open(b"null", PEER)
    assert refused.value.code is Code.ACCESS_VIOLATION


def test_what_the_server_may_not_read_is_refused(served: Directory, root: Path) -> None:
    (root / "file").chmod(0)
    with unprivileged(), pytest.raises(Refused, match="may not read") as refused:
        served.open(b"file", PEER)
    assert refused.value.code is Code.ACCESS_VIOLATION


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root reads everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_link_that_flips_meanwhile_never_leaks(served: Directory, root: Path) -> None:
    done = threading.Event()
    flipping = threading.Thread(target=flip, args=(root, done))
    flipping.start()
    read, refused = 0, 0
    try:
        for _ in range(4000):
            for name in (b"flip", b"flipdir/file"):
                try:
                    assert content(served, name) in (b"file", b"sub/file")
                    read += 1
                except Refused:
                    refused += 1
    finally:
        done.set()
        flipping.join()
    assert read
    assert refused


def flip(root: Path, done: threading.Event) -> None:
    """Swap a link, and a directory, for what is inside and outside, as fast as can be."""
    (root.parent / "outside" / "file").write_bytes(SECRET)
    turn = 0
    while not done.is_set():
        turn += 1
        for name, inside, outside in (
            ("flip", "file", "../outside/secret.txt"),
            ("flipdir", "sub", "../outside"),
        ):
            new = root / f"{name}.new"
            with suppress(FileNotFoundError):
                new.unlink()
            new.symlink_to(outside if turn % 2 else inside)
            new.replace(root / name)


def test_the_kernel_s_way_is_taken_where_there_is_one(root: Path) -> None:
    with closing(Directory(root)) as directory:
        try:
            os.close(beneath.by_kernel(directory.fd, b".", os.O_PATH))
        except OSError as error:
            assert error.errno in (errno.ENOSYS, errno.EPERM)  # noqa: PT017
            assert beneath.opener(directory.fd) is beneath.by_walk
        else:
            assert beneath.opener(directory.fd) is beneath.by_kernel


FORBIDDING = """
import ctypes, os, struct, sys
from pathlib import Path
code = b"".join(struct.pack("HBBI", *one) for one in (
    (0x20, 0, 0, 0),               # the number of the system call
    (0x15, 0, 1, 437),             # is it openat2's?
    (0x06, 0, 0, 0x00050000 | int(sys.argv[2])),
    (0x06, 0, 0, 0x7fff0000),
))
buffer = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(buffer))), 0, 0) == 0
from rootfs_tool.tftpd import beneath
from rootfs_tool.tftpd.directory import Directory
directory = Directory(Path(sys.argv[1]))
assert beneath.opener(directory.fd) is beneath.by_walk
print(os.read(directory.open(b"chain", "192.0.2.7").fd, 100).decode())
"""


@pytest.mark.parametrize("answer", [errno.EPERM, errno.ENOSYS])
def test_a_container_that_forbids_it_gets_the_walk(root: Path, answer: int) -> None:
    """A real seccomp filter: seccomp(2), as old container engines have it."""
    argv = [sys.executable, "-c", FORBIDDING, str(root), str(answer)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "file\n"
