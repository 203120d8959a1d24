"""FATs that mkfs.vfat and mtools made, as our reader sees them."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.fat import Fat

MIB = 1 << 20
KINDS = {12: 4, 16: 20, 32: 40}  # MiB that mkfs.vfat can make of each
TIME = 1_700_000_000


def mtools(program: str, image: Path, *args: str | Path) -> None:
    subprocess.run(
        [program, "-i", image, *args],
        check=True,
        capture_output=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(TIME)},
    )


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A FAT of each kind, with a file in pieces and one that is gone."""
    bits: int = request.param
    image = tmp_path / "fat"
    with image.open("wb") as file:
        file.truncate(KINDS[bits] * MIB)
    options = ["-F", str(bits), *(("-s", "1") if bits == 32 else ())]
    subprocess.run(["mkfs.vfat", *options, "-n", "A LABEL", image], check=True, capture_output=True)
    for name, size in (("first", 300_000), ("gone", 100_000), ("last", 50_000)):
        (tmp_path / name).write_bytes(name.encode() * (size // len(name)))
        mtools("mcopy", image, tmp_path / name, "::")
    mtools("mdel", image, "::gone")
    if bits == 32:  # look for room from the start, not behind what was written last
        with image.open("r+b") as file:
            file.seek(512 + 492)
            file.write(b"\xff" * 4)
    mtools("mmd", image, "::Über lange Namen", "::Über lange Namen/sub")
    (tmp_path / "pieces").write_bytes(random.Random(1).randbytes(1_234_567))
    mtools("mcopy", image, "-m", tmp_path / "pieces", "::Über lange Namen/sub/In Pieces.of data")
    (tmp_path / "empty").touch()
    mtools("mcopy", image, tmp_path / "empty", "::EMPTY.TXT")
    mtools("mattrib", image, "+r", "::EMPTY.TXT")
    return image


def listed(filesystem: Fat) -> dict[str, Entry]:
    return {str(entry.path): entry for entry in filesystem.entries()}


def test_entries_are_all_there_and_in_order(made: Path) -> None:
    filesystem = Fat(made)
    assert (filesystem.kind, filesystem.label) == ("vfat", "A LABEL")
    paths = [entry.path for entry in filesystem.entries()]
    names = (
        *("EMPTY.TXT", "first", "last", "Über lange Namen", "Über lange Namen/sub"),
        "Über lange Namen/sub/In Pieces.of data",
    )
    assert paths == [PurePosixPath("/"), *(PurePosixPath("/", name) for name in names)]
    entries = listed(filesystem)
    assert entries["/Über lange Namen"].is_directory
    assert stat.S_IMODE(entries["/EMPTY.TXT"].mode) == 0o555
    assert stat.S_IMODE(entries["/first"].mode) == 0o755
    assert entries["/last"].mtime == pytest.approx(TIME, abs=2)


def test_files_are_what_was_copied_in(made: Path) -> None:
    filesystem = Fat(made)
    entries = listed(filesystem)
    pieces = entries["/Über lange Namen/sub/In Pieces.of data"]
    assert len(pieces.extents) > 1, "the file fills the gap and goes on behind"
    assert b"".join(filesystem.read(pieces)) == (made.parent / "pieces").read_bytes()
    assert b"".join(filesystem.read(entries["/first"])) == (made.parent / "first").read_bytes()
    assert list(filesystem.read(entries["/EMPTY.TXT"])) == []
    content = made.read_bytes()
    whole = b"".join(content[at : at + length] for at, length in pieces.extents)
    assert whole == (made.parent / "pieces").read_bytes()


def test_it_may_begin_anywhere_in_a_file(made: Path) -> None:
    inside = made.with_name("inside")
    inside.write_bytes(bytes(3 * MIB) + made.read_bytes())
    filesystem = Fat(inside, 3 * MIB)
    first = listed(filesystem)["/first"]
    assert first.extents[0][0] > 3 * MIB
    assert b"".join(filesystem.read(first)) == (made.parent / "first").read_bytes()


def test_what_is_used_is_enough_for_fsck(made: Path) -> None:
    filesystem = Fat(made)
    content = made.read_bytes()
    other = bytearray(b"\xa5" * len(content))
    spans = list(filesystem.used())
    for start, end in spans:
        other[start:end] = content[start:end]
    assert sum(end - start for start, end in spans) < len(content) // 2, "most of it is free"
    made.with_name("other").write_bytes(other)
    done = subprocess.run(
        ["fsck.vfat", "-n", made.with_name("other")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stdout
    again = Fat(made.with_name("other"))
    assert {p: e.extents for p, e in listed(again).items()} == {
        path: entry.extents for path, entry in listed(filesystem).items()
    }
    first = listed(again)["/first"]
    assert b"".join(again.read(first)) == (made.parent / "first").read_bytes()


@pytest.mark.parametrize(
    "content", [b"", bytes(4096), b"\xff" * 4096, b"\xeb\x58\x90" + bytes(600)]
)
def test_what_is_no_fat(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigError, match="/x"):
        Fat(tmp_path / "x")


def everything(image: Path) -> int:
    filesystem = Fat(image)
    pieces = (piece for entry in filesystem.entries() for piece in filesystem.read(entry))
    return sum(map(len, pieces))


def test_one_that_is_cut_short(made: Path) -> None:
    os.truncate(made, MIB)
    with pytest.raises(ConfigError, match="cut short"):
        everything(made)


@pytest.mark.parametrize("number", [0, 2, 5, 0x30, 0x0FFFFFF0])
def test_damage_ends_in_an_error_not_in_a_circle(made: Path, number: int) -> None:
    """Each of the FAT's first numbers leads somewhere else in turn: to itself, too."""
    geometry = Fat(made).geometry
    errors = 0
    with made.open("r+b", buffering=0) as file:
        for at in range(geometry.fat, geometry.fat + 32, geometry.bits // 8):
            before = os.pread(file.fileno(), 4, at)
            os.pwrite(file.fileno(), number.to_bytes(4, "little"), at)
            try:
                everything(made)
            except ConfigError:
                errors += 1
            os.pwrite(file.fileno(), before, at)
    assert errors
