"""The treemap's geometry and the table of what takes the space."""

from __future__ import annotations

import itertools
import random

import pytest

from rootfs_tool.imagesize import Usage
from rootfs_tool.report import size
from rootfs_tool.report.listing import bytes_of
from rootfs_tool.report.size import HEIGHT, WIDTH, Tile


def file(path: str, taken: int, packed: int | None = None) -> Usage:
    return Usage(path=path, size=taken, taken=taken if packed is None else packed)


def directory(path: str, *parts: Usage) -> Usage:
    total, taken = sum(part.size for part in parts), sum(part.taken for part in parts)
    return Usage(
        path=path,
        size=total,
        taken=taken,
        parts=tuple(sorted(parts, key=lambda part: -part.taken)),
    )


def overlap(one: Tile, other: Tile) -> float:
    a, b = one.at, other.at
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(wide, 0) * max(high, 0)


def test_tiles_fill_the_map_by_what_they_take() -> None:
    chosen = random.Random(1)
    files = [file(f"/{n}", chosen.randrange(1_000, 100_000)) for n in range(60)]
    whole = directory("/", *files)
    tiles = list(size.tiles(whole))
    assert len(tiles) == 60
    for tile in tiles:
        share = tile.at.area / (WIDTH * HEIGHT)
        assert share == pytest.approx(tile.usage.taken / whole.taken)
        assert max(tile.at.width, tile.at.height) < 5 * min(tile.at.width, tile.at.height)
    assert all(overlap(*pair) < 1e-9 for pair in itertools.combinations(tiles, 2))


def test_what_is_in_a_directory_is_drawn_in_it() -> None:
    whole = directory(
        "/", directory("/usr", file("/usr/a", 500), file("/usr/b", 400)), file("/c", 100)
    )
    by_path = {tile.usage.path: tile for tile in size.tiles(whole)}
    assert list(by_path) == ["/usr", "/c", "/usr/a", "/usr/b"]
    inner, outer = by_path["/usr/a"].at, by_path["/usr"].at
    assert outer.y < inner.y < inner.y + inner.height < outer.y + outer.height
    assert by_path["/usr/a"].colour == by_path["/usr"].colour != by_path["/c"].colour


def test_what_is_too_small_or_empty_is_not_drawn() -> None:
    whole = directory("/", file("/large", 1_000_000), file("/small", 3), file("/empty", 0))
    assert [tile.usage.path for tile in size.tiles(whole)] == ["/large"]
    assert list(size.tiles(directory("/"))) == []


def test_the_table_sums_up_what_is_small() -> None:
    many = [file(f"/x/{n}", 1) for n in range(5)]
    whole = directory("/", file("/large", 9_000), directory("/x", file("/x/y", 1_000), *many))
    lines = [" ".join(line.split()) for line in size.table(whole, 2)]
    assert lines == [
        "size share path",
        "10.0 kB 100% /",
        "9.0 kB 90% /large",
        "1.0 kB 10% /x",
        "1.0 kB 10% /x/y",
        "5 B 0% (5 smaller)",
    ]
    assert len(size.table(whole, 0)) == 2


def test_the_table_of_compressed_files_says_both_sizes() -> None:
    whole = directory("/", file("/a", 4_000, 1_000), file("/b", 3_000, 3_000))
    lines = [" ".join(line.split()) for line in size.table(whole, 1)]
    assert lines == [
        "size in the image share path",
        "7.0 kB 4.0 kB 100% /",
        "3.0 kB 3.0 kB 75% /b",
        "4.0 kB 1.0 kB 25% /a",
    ]


def test_a_page_holds_names_as_text() -> None:
    whole = directory("/", file('/<script>"&\x1b', 10))
    page = size.page(whole, "<b>")
    assert "/&lt;script&gt;&#34;&amp;\\x1b: 10 B" in page
    assert "<b>" not in page


def test_sizes_have_three_digits() -> None:
    sizes = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 123_456: "123 kB"}
    sizes |= {999_499: "999 kB", 999_500: "1.0 MB", 2_147_483_648: "2.1 GB"}
    assert {size: bytes_of(size) for size in sizes} == sizes
