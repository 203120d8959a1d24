"""Images with the maps that lie beside them, ours and others'."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from rootfs_tool import blockmap
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.errors import ConfigError
from rootfs_tool.flash import bmap, source
from rootfs_tool.flash.source import PIECE
from tests.flash.cards import MIB, SIZE, an_image, with_map

ZEROS = "0" * 64


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "sdcard.img"
    with_map(path, an_image(path))
    return path


def a_bmap(version: str, image: bytes) -> str:
    """Three blocks of five, as the tools of that version wrote it."""
    sums = [hashlib.sha256(image[:4096]).hexdigest(), hashlib.sha256(image[8192:]).hexdigest()]
    kind, own, attribute = "", "", ""
    if version == "1.3":
        sums = [hashlib.sha1(image[:4096]).hexdigest(), hashlib.sha1(image[8192:]).hexdigest()]
        own, attribute = f"<BmapFileSHA1> {ZEROS[:40]} </BmapFileSHA1>", "sha1"
    elif version > "1.3":
        kind = "<ChecksumType> sha256 </ChecksumType>"
        own, attribute = f"<BmapFileChecksum> {ZEROS} </BmapFileChecksum>", "chksum"
    a, b = (f' {attribute}="{sum}"' if attribute else "" for sum in sums)
    text = f"""<?xml version="1.0" ?>
<bmap version="{version}">
    <ImageSize> {len(image)} </ImageSize>
    <BlockSize> 4096 </BlockSize>
    <BlocksCount> 5 </BlocksCount>
    <MappedBlocksCount> 4 </MappedBlocksCount>
    {kind}
    {own}
    <BlockMap>
        <Range{a}> 0 </Range>
        <Range{b}> 2-4 </Range>
    </BlockMap>
</bmap>
"""
    algorithm = hashlib.sha1 if version == "1.3" else hashlib.sha256
    digest = algorithm(text.encode()).hexdigest()
    return text.replace(f" {ZEROS[: len(digest)]} ", f" {digest} ")


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.3", "1.4", "2.0"])
def test_a_bmap_of_each_version(version: str, tmp_path: Path) -> None:
    content = b"image" * 4000
    (image := tmp_path / "x.img").write_bytes(content)
    (list := tmp_path / "x.img.bmap").write_text(a_bmap(version, content))
    found = source.find(image)
    assert found.origin == list
    assert [(one.kind, one.start, one.end) for one in found.map.ranges] == [
        (Kind.DATA, 0, 4096),
        (Kind.FREE, 4096, 8192),
        (Kind.DATA, 8192, 20000),
    ]
    assert set(found.sums) == (set() if version < "1.3" else {0, 8192})
    assert found.algorithm == ("sha1" if version <= "1.3" else "sha256")


@pytest.mark.parametrize("version", ["1.3", "2.0"])
def test_a_bmap_that_someone_has_changed(version: str, tmp_path: Path) -> None:
    text = a_bmap(version, bytes(20000))
    (list := tmp_path / "x.bmap").write_text(text.replace("2-4", "3-4"))
    with pytest.raises(ConfigError, match="checksum does not match"):
        bmap.load(list)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('version="1.0"', 'version="3.0"', "newer than 2.0"),
        ('version="1.0"', "", "no block map"),
        ("2-4", "two", "no block map"),
        ("2-4", "0-4", "can't be right"),
        ("2-4", "4-2", "can't be right"),
        ("<ImageSize>", "<Size>", "no block map"),
        ("</bmap>", "", "no block map"),
    ],
)
def test_a_bmap_that_can_not_be(old: str, new: str, said: str, tmp_path: Path) -> None:
    (list := tmp_path / "x.bmap").write_text(a_bmap("1.0", bytes(20000)).replace(old, new))
    with pytest.raises(ConfigError, match=said):
        bmap.load(list)


def test_what_bmaptool_makes(image: Path) -> None:
    list = image.with_name("sdcard.bmap")
    subprocess.run(["bmaptool", "--quiet", "create", "--output", list, image], check=True)
    found = bmap.load(list)
    content = image.read_bytes()
    data = [one for one in found.map.ranges if one.kind is Kind.DATA]
    assert data
    for one in data:
        digest = hashlib.new(found.algorithm, content[one.start : one.end]).hexdigest()
        assert found.sums[one.start] == digest


def test_where_a_map_is_looked_for(image: Path) -> None:
    """Ours before others', the one for the very file before the one for what is in it."""
    text = image.with_name("sdcard.img.map").read_text()
    image.with_name("sdcard.img.map").unlink()
    subprocess.run(["gzip", "-1", image], check=True)
    packed = image.with_name("sdcard.img.gz")
    list = a_bmap("1.0", bytes(20000))
    names = ["sdcard.bmap", "sdcard.img.bmap", "sdcard.img.map", "sdcard.img.gz.map"]
    for name in names:
        packed.with_name(name).write_text(
            text if name.endswith("map") and "b" not in name else list
        )
        assert source.find(packed).origin == packed.with_name(name)


def test_pieces_cover_what_is_to_be_written_and_cross_no_border(image: Path) -> None:
    found = source.find(image)
    pieces = list(found.pieces())
    assert sum(piece.end - piece.start for piece in pieces) == found.data
    for piece in pieces:
        assert piece.start // PIECE == (piece.end - 1) // PIECE
        assert piece.range.start <= piece.start < piece.end <= piece.range.end
        assert piece.range.kind is not Kind.FREE


def test_the_size_of_a_compressed_image(image: Path) -> None:
    image.with_name("sdcard.img.map").unlink()
    subprocess.run(["xz", "-0", image], check=True)
    found = source.find(image.with_name("sdcard.img.xz"))
    assert found.size == found.data == SIZE
    assert found.origin is None


@pytest.mark.parametrize("what", ["missing", "empty", "directory"])
def test_what_is_no_image(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.img"
    if what == "empty":
        path.touch()
    elif what == "directory":
        path.mkdir()
    with pytest.raises(ConfigError) as caught:
        source.find(path)
    assert str(path) in str(caught.value)


def test_nothing_compressed(tmp_path: Path) -> None:
    (path := tmp_path / "x").touch()
    subprocess.run(["gzip", path], check=True)
    with pytest.raises(ConfigError, match="there is nothing in it"):
        source.find(path.with_name("x.gz"))


def test_a_map_for_a_compressed_image_beside_a_plain_one(image: Path) -> None:
    map = blockmap.load(image.with_name("sdcard.img.map"))
    with_map(image, BlockMap(size=SIZE, packed=SIZE, ranges=map.ranges))
    with pytest.raises(ConfigError, match="is for"):
        source.find(image)


def test_large_images_need_no_table_of_pieces() -> None:
    size = 1 << 40
    one = Range(kind=Kind.DATA, start=0, end=size)
    huge = source.Source(
        path=Path("x"),
        format=None,
        map=BlockMap(size=size, ranges=(one,)),
        origin=None,
        algorithm="sha256",
        sums={},
    )
    assert next(huge.pieces()).end == MIB
