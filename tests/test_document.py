"""TOML files laid over each other, and what is said of a file that is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rootfs_tool import document
from rootfs_tool.document import Document
from rootfs_tool.errors import ConfigError


def files(directory: Path, **texts: str) -> Path:
    """Write NAME.toml for every text; returns the first."""
    for name, text in texts.items():
        (directory / f"{name}.toml").write_text(text)
    return directory / f"{next(iter(texts))}.toml"


def load(path: Path) -> Document:
    def find(name: str, chain: Sequence[Path]) -> Path:
        found = path.parent / f"{name}.toml"
        if found in chain:
            raise ConfigError("goes round")
        if not found.exists():
            raise ConfigError(f"no {name}")
        return found

    return document.load(path, find)


def test_tables_merge_and_all_else_replaces(tmp_path: Path) -> None:
    top = files(
        tmp_path,
        top='extends = "base"\nname = "top"\nlist = [3]\n[table]\nb = 20\n[[rows]]\nx = 1\n',
        base='name = "base"\nlist = [1, 2]\nkept = "k"\n[table]\na = 1\nb = 2\n'
        "[table.deep]\nc = 3\n[[rows]]\ny = 1\n[[rows]]\ny = 2\n",
    )
    assert load(top).table == {
        "name": "top",
        "list": [3],
        "kept": "k",
        "table": {"a": 1, "b": 20, "deep": {"c": 3}},
        "rows": [{"x": 1}],
    }


def test_every_key_knows_its_file(tmp_path: Path) -> None:
    top = files(
        tmp_path,
        top='extends = "middle"\n[table]\nb = 1\n',
        middle='extends = "base"\nrows = 5\n',
        base="[table]\na = 1\nb = 2\n[[deep.rows]]\ny = 1\n[rows]\nz = 1\n",
    )
    found = load(top)
    keys = [("table", "a"), ("table", "b"), ("deep", "rows", 0, "y"), ("rows",), ("none",)]
    assert [found.origin(key).stem for key in keys] == ["base", "top", "base", "middle", "top"]
    # What stood in a table that something else replaced is gone, and so is where it came from.
    assert found.origin(("rows", "z")).stem == "middle"


def test_a_name_is_not_inherited(tmp_path: Path) -> None:
    top = files(tmp_path, top='extends = "base"\n', base='name = "base"\n')
    assert load(top).table == {}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"top": "extends = 5"}, "top.toml: extends: must be the name of a profile, in quotes"),
        ({"top": 'extends = "gone"'}, "top.toml: extends: no gone"),
        ({"top": 'extends = "top"'}, "top.toml: extends: goes round"),
        (
            {"top": 'extends = "a"', "a": 'extends = "b"', "b": 'extends = "a"'},
            "b.toml: extends: goes round",
        ),
    ],
)
def test_a_wrong_extends_is_a_mistake_of_its_file(
    tmp_path: Path, texts: dict[str, str], said: str
) -> None:
    (mistake,) = load(files(tmp_path, **texts)).mistakes
    assert str(mistake).startswith(f"{tmp_path}/{said}")


def test_what_toml_has_and_nothing_takes(tmp_path: Path) -> None:
    text = 'a = 2024-01-02\nb = [1, 07:30:00]\nc = "x\\u0000"\n[d]\ne = nan\n'
    top = files(tmp_path, top=text)
    assert [str(one) for one in load(top).mistakes] == [
        f'{top}: a: is a date or a time; put it in quotes: "2024-01-02"',
        f'{top}: b[1]: is a date or a time; put it in quotes: "07:30:00"',
        f"{top}: c: holds a NUL character",
        f"{top}: d.e: must be a finite number, not nan",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\nb = = 2\n", "line 2, column 5: is not TOML: invalid value"),
        (b'a = "x', "end of document: is not TOML: unterminated string"),
        (b"a = 1\na = 2\n", "line 2, column 6: is not TOML: cannot overwrite a value"),
        (b"a = 1\nb = '\xff'\n", "line 2: byte 0xff is not UTF-8 text"),
        (b"\xff\xfea\x00", "line 1: byte 0xff is not UTF-8 text"),
        (b"a = " + b"[" * 100_000, "its tables or arrays are nested too deeply"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        document.read(path)
    assert str(caught.value).startswith(f"{path}: {said}")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert document.read(path).table == {"a": 1}


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory, not a TOML file"):
        document.read(tmp_path)
    with pytest.raises(ConfigError, match=r"gone\.toml: no such file or directory"):
        document.read(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match=r"x\.toml: not a directory"):
        document.read(files(tmp_path, file="") / "x.toml")


def test_a_key_as_people_write_it() -> None:
    assert document.dotted(("network", "interface", 0, "name")) == "network.interface[0].name"
