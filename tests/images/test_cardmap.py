"""What of an image is data, what must be zero, and what may stay as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rootfs_tool.blockmap import Kind
from rootfs_tool.images import cardmap

BLOCK = 4096
MIB = 1 << 20


def mapped(
    image: Path, written: dict[int, bytes], used: list[tuple[int, int]], size: int = 4 * MIB
) -> list[tuple[Kind, int, int]]:
    """The ranges of an image that holds ``written``, by offset; starts and ends in blocks."""
    with image.open("wb") as file:
        file.truncate(size)
        for at, content in written.items():
            file.seek(at)
            file.write(content)
    map = cardmap.block_map(image, used)
    assert map.size == size
    return [(one.kind, one.start // BLOCK, -(-one.end // BLOCK)) for one in map.ranges]


def test_an_image_that_nothing_uses(tmp_path: Path) -> None:
    assert mapped(tmp_path / "x", {}, []) == [(Kind.FREE, 0, 1024)]
    assert mapped(tmp_path / "x", {}, [], size=0) == []


def test_data_that_nothing_uses_is_free(tmp_path: Path) -> None:
    assert mapped(tmp_path / "x", {0: b"old"}, []) == [(Kind.FREE, 0, 1024)]


def test_zeros_are_told_from_data_only_where_something_is_used(tmp_path: Path) -> None:
    found = mapped(tmp_path / "x", {MIB: b"x"}, [(0, 2 * MIB), (3 * MIB, 4 * MIB)])
    assert found == [
        (Kind.ZERO, 0, 256),
        (Kind.DATA, 256, 257),
        (Kind.ZERO, 257, 512),
        (Kind.FREE, 512, 768),
        (Kind.ZERO, 768, 1024),
    ]


def test_a_part_of_a_block_is_the_whole_block(tmp_path: Path) -> None:
    found = mapped(tmp_path / "x", {BLOCK * 3 - 1: b"x"}, [(BLOCK * 3 - 1, BLOCK * 5 + 1)])
    assert found == [
        (Kind.FREE, 0, 2),
        (Kind.DATA, 2, 3),
        (Kind.ZERO, 3, 6),
        (Kind.FREE, 6, 1024),
    ]


def test_spans_may_come_in_any_order_and_overlap(tmp_path: Path) -> None:
    used = [(2 * MIB, 3 * MIB), (0, BLOCK), (BLOCK, 2 * BLOCK), (2 * MIB + 1, 2 * MIB + 2)]
    assert mapped(tmp_path / "x", {}, used) == [
        (Kind.ZERO, 0, 2),
        (Kind.FREE, 2, 512),
        (Kind.ZERO, 512, 768),
        (Kind.FREE, 768, 1024),
    ]


def test_a_small_gap_between_data_is_written_with_it(tmp_path: Path) -> None:
    gap = cardmap.SMALL + BLOCK
    used = [(0, BLOCK), (gap, gap + BLOCK), (gap + MIB, gap + MIB + BLOCK)]
    written = {start: b"x" for start, _ in used}
    assert mapped(tmp_path / "x", written, used)[:3] == [
        (Kind.DATA, 0, 18),
        (Kind.FREE, 18, 273),
        (Kind.DATA, 273, 274),
    ]


def test_long_data_is_cut(tmp_path: Path) -> None:
    content = bytes(range(1, 256)) * 70_000
    found = mapped(tmp_path / "x", {MIB: content}, [(0, 20 * MIB)], size=20 * MIB)
    assert found == [
        (Kind.ZERO, 0, 256),
        (Kind.DATA, 256, 2304),
        (Kind.DATA, 2304, 4352),
        (Kind.DATA, 4352, 4614),
        (Kind.ZERO, 4614, 5120),
    ]


def test_an_image_may_end_within_a_block(tmp_path: Path) -> None:
    image = tmp_path / "x"
    image.write_bytes(b"x" * 5000)
    (only,) = cardmap.block_map(image, [(0, 5000)]).ranges
    assert (only.start, only.end) == (0, 5000)
    assert only.sha256 == hashlib.sha256(b"x" * 5000).hexdigest()
