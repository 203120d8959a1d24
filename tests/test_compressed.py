"""Compressed files as the real programs make and read them, and as they must not be."""

from __future__ import annotations

import random
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from rootfs_tool import compressed
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.compressed import Damaged, Format
from rootfs_tool.errors import ConfigError

MIB = 1 << 20
PROGRAMS = {Format.GZIP: "gzip", Format.XZ: "xz", Format.ZSTD: "zstd", Format.BZIP2: "bzip2"}
OURS = [Format.GZIP, Format.XZ, Format.ZSTD]
NOISE = random.Random(5).randbytes(300_000)
CONTENT = NOISE + bytes(3 * MIB) + NOISE[::-1]


def packed(content: bytes, format: Format, *options: str) -> bytes:
    """What the real program makes of it."""
    argv = [PROGRAMS[format], "-c", *options]
    return subprocess.run(argv, input=content, check=True, capture_output=True).stdout


def unpacked(content: bytes, format: Format, path: Path) -> bytes:
    path.write_bytes(content)
    with path.open("rb") as file:
        return b"".join(compressed.unpacked(file, format))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x"


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("content", [CONTENT, b"x", b""], ids=["much", "little", "nothing"])
def test_what_the_program_packs_is_unpacked(format: Format, content: bytes, path: Path) -> None:
    assert unpacked(packed(content, format), format, path) == content


@pytest.mark.parametrize("format", Format)
def test_one_file_behind_another(format: Format, path: Path) -> None:
    both = packed(CONTENT, format) + packed(b"more", format)
    assert unpacked(both, format, path) == CONTENT + b"more"


@pytest.mark.parametrize(
    "options", [("--no-check",), ("-19",), ("--ultra", "-22"), ("-T2", "-B1MB")]
)
def test_other_ways_of_zstd(options: tuple[str, ...], path: Path) -> None:
    assert unpacked(packed(CONTENT, Format.ZSTD, *options), Format.ZSTD, path) == CONTENT


def test_a_zstd_frame_that_is_skipped(path: Path) -> None:
    skipped = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert unpacked(skipped + packed(b"x", Format.ZSTD) + skipped, Format.ZSTD, path) == b"x"


def test_padding(path: Path) -> None:
    """Between xz streams four zeros and their multiples; behind gzip what a tape leaves."""
    one = packed(b"x", Format.XZ)
    assert unpacked(one + bytes(8) + one + bytes(4), Format.XZ, path) == b"xx"
    with pytest.raises(Damaged, match="behind its end"):
        unpacked(one + bytes(5), Format.XZ, path)
    assert unpacked(packed(b"x", Format.GZIP) + bytes(511), Format.GZIP, path) == b"x"


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("missing", [1, 2, 4, 5, 9, 1000])
def test_what_is_cut_short(missing: int, format: Format, path: Path) -> None:
    whole = packed(CONTENT, format)
    with pytest.raises(Damaged, match="cut short"):
        unpacked(whole[:-missing], format, path)


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("extra", [b"x", b"garbage", b"\0\0\0x"])
def test_what_has_something_behind_it(extra: bytes, format: Format, path: Path) -> None:
    with pytest.raises(Damaged):
        unpacked(packed(CONTENT, format) + extra, format, path)


@pytest.mark.parametrize("format", Format)
def test_what_has_a_bit_flipped(format: Format, path: Path) -> None:
    """Wherever it is, for the checksum is over all; but a few bits of a header mean nothing."""
    whole = packed(CONTENT, format)
    for place in random.Random(7).sample(range(20, len(whole)), 12):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x10
        with pytest.raises(Damaged):
            unpacked(bytes(spoilt), format, path)


@pytest.mark.parametrize("format", Format)
def test_much_from_little_takes_little_memory(format: Format, path: Path) -> None:
    path.write_bytes(packed(bytes(64 * MIB), format, "-1"))
    tracemalloc.start()
    with path.open("rb") as file:
        assert sum(map(len, compressed.unpacked(file, format))) == 64 * MIB
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * MIB


def test_the_first_bytes_say_what_a_file_is(tmp_path: Path) -> None:
    for format in Format:
        (path := tmp_path / "image").write_bytes(packed(b"x", format))
        assert compressed.format_of(path) is format
        (wrong := tmp_path / f"image.{format}").write_bytes(b"not packed at all")
        with pytest.raises(ConfigError, match=rf"is no \.{format} file"):
            compressed.format_of(wrong)
    (plain := tmp_path / "plain.img").write_bytes(b"MZ")
    assert compressed.format_of(plain) is None


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(70 * MIB)
        for start in (0, 4 * MIB, 40 * MIB):
            file.seek(start)
            file.write(NOISE)
    return path


def the_map(*, size: int = 70 * MIB) -> BlockMap:
    end = -(-len(NOISE) // 4096) * 4096
    spans = [
        (Kind.DATA, 0, end),
        (Kind.ZERO, end, 4 * MIB),
        (Kind.DATA, 4 * MIB, 4 * MIB + end),
        (Kind.FREE, 4 * MIB + end, 40 * MIB),
        (Kind.DATA, 40 * MIB, 40 * MIB + end),
        (Kind.ZERO, 40 * MIB + end, size),
    ]
    ranges = tuple(Range(kind=kind, start=start, end=end) for kind, start, end in spans)
    return BlockMap(size=size, ranges=ranges)


@pytest.mark.parametrize("format", OURS)
def test_the_real_program_unpacks_ours(format: Format, image: Path, path: Path) -> None:
    map = compressed.compress(image, the_map(), path, format)
    assert map.packed == path.stat().st_size
    with path.open("rb") as file:
        plain = subprocess.run(
            [PROGRAMS[format], "-dc"], stdin=file, check=True, capture_output=True
        )
    assert plain.stdout == image.read_bytes()
    assert path.stat().st_size < 3 * len(NOISE) + 200_000


@pytest.mark.parametrize("format", OURS)
def test_each_range_can_be_unpacked_alone(format: Format, image: Path, path: Path) -> None:
    map = compressed.compress(image, the_map(), path, format)
    content = image.read_bytes()
    with path.open("rb") as file:
        for one in map.ranges:
            if one.kind is Kind.DATA:
                assert one.packed is not None
                file.seek(one.packed)
                assert b"".join(compressed.member(file, format)) == content[one.start : one.end]


@pytest.mark.parametrize("format", OURS)
def test_the_same_image_gives_the_same_file(format: Format, image: Path, path: Path) -> None:
    compressed.compress(image, the_map(), path, format)
    (other := path.with_name("other")).write_bytes(b"longer than what comes" * 100_000)
    compressed.compress(image, the_map(), other, format)
    assert path.read_bytes() == other.read_bytes()


def test_no_new_bzip2_files(image: Path, path: Path) -> None:
    with pytest.raises(ConfigError, match="not as bz2"):
        compressed.compress(image, the_map(), path, Format.BZIP2)
    assert not path.exists()
