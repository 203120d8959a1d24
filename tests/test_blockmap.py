"""Maps that are written and read, and maps that are not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rootfs_tool import blockmap
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.errors import ConfigError

MAP = BlockMap(
    size=20000,
    packed=123,
    ranges=(
        Range(kind=Kind.DATA, start=0, end=4096, sha256="00" * 32, packed=0),
        Range(kind=Kind.FREE, start=4096, end=12288, packed=50),
        Range(kind=Kind.ZERO, start=12288, end=20000, packed=60),
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sdcard.img.map"


def test_what_is_written_is_read(path: Path) -> None:
    path.write_text(blockmap.dumps(MAP))
    assert blockmap.load(path) == MAP
    assert blockmap.dumps(blockmap.load(path)) == blockmap.dumps(MAP)


def test_how_much_there_is_of_a_kind() -> None:
    assert MAP.amount(Kind.DATA) == 4096
    assert MAP.amount(Kind.DATA, Kind.ZERO) == 4096 + 7712
    assert MAP.amount() == 0


def test_a_map_with_another_character_is_refused(path: Path) -> None:
    text = blockmap.dumps(MAP)
    for place, there in enumerate(text):
        if there.isalnum():
            other = "1" if there != "1" else "2"
            path.write_text(text[:place] + other + text[place + 1 :])
            with pytest.raises(ConfigError) as caught:
                blockmap.load(path)
            assert str(path) in str(caught.value)
            assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "\xff", '{"format": 1}', '"x"'])
def test_what_is_no_map(text: str, path: Path) -> None:
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="is no map of an image"):
        blockmap.load(path)


def test_there_is_no_map(path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        blockmap.load(path)


def test_a_map_of_another_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockmap, "FORMAT", 2)
    path.write_text(blockmap.dumps(MAP))
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="of another rootfs-tool"):
        blockmap.load(path)


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 4096), (8192, 20000)],
        [(0, 8192), (4096, 20000)],
        [(0, 4096)],
        [(0, 4097), (4097, 20000)],
        [(4096, 20000)],
        [(0, 0), (0, 20000)],
        [],
    ],
)
def test_ranges_that_can_not_be(spans: list[tuple[int, int]], path: Path) -> None:
    ranges = tuple(Range(kind=Kind.DATA, start=start, end=end) for start, end in spans)
    path.write_text(blockmap.dumps(BlockMap(size=20000, ranges=ranges)))
    with pytest.raises(ConfigError, match=r"can't be right|end at"):
        blockmap.load(path)


def test_a_map_is_json(path: Path) -> None:
    """Others may read it."""
    table = json.loads(blockmap.dumps(MAP))
    assert table["ranges"][2]["kind"] == "zero"
    assert table["format"] == blockmap.FORMAT
