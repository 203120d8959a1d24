"""Every mistake of a file at once: the right file, the key, plain words, and the closest word."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest

from rootfs_tool import document, loading
from rootfs_tool.document import Document
from rootfs_tool.errors import ConfigError
from rootfs_tool.model import AtOnce, Field, Kinds, Matching, Model


class Fruit(Model):
    pass


class Apple(Fruit):
    type: Literal["apple"] = "apple"
    weight: int = Field(default=100, ge=1, le=1000)
    peeled_by: Path | None = None


class Pear(Fruit):
    type: Literal["pear"] = "pear"
    ripe: bool = False


AnyFruit = Annotated[Fruit, Kinds(Apple, Pear)]


class Colour(StrEnum):
    green = "green"
    yellow = "yellow"


class Box(Model):
    owner: Annotated[str, Matching("[a-z]+", "small letters")] = "me"
    side_length: float = 1.0


class Basket(Model):
    box: Box = Box()
    colour: Colour = Colour.green
    size: Literal["small", "large"] = "small"
    fruit: Annotated[
        tuple[AnyFruit, ...],
        AtOnce(lambda fruit: [((2,), "two are enough")] if len(fruit) > 2 else []),
    ] = ()
    best: AnyFruit | None = None
    names: tuple[str, ...] = ()


def of(text: str, name: str = "basket.toml") -> Document:
    return document.of(Path(name), tomllib.loads(text))


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loading.load(Basket, of(text))
    assert caught.value.exit_code == 2
    return [line.removeprefix("basket.toml: ") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colr = 1", 'colr: unknown key; did you mean "colour"?'),
        ("zzz = 1", "zzz: unknown key"),
        ("side_length = 1", "side_length: unknown key"),
        ("box.side_length = 1", 'box.side_length: unknown key; did you mean "side-length"?'),
        ("box = 5", "box: must be a table, not 5"),
        ("box.side-length = '5'", 'box.side-length: must be a number, not "5"'),
        ("box.owner = 'ME'", 'box.owner: must be small letters, not "ME"'),
        (
            "box.owner = '" + "A" * 80 + "'",
            'box.owner: must be small letters, not "' + "A" * 57 + '…"',
        ),
        ("box.owner = true", "box.owner: must be a text in quotes, not true"),
        ("colour = 'red'", 'colour: must be "green" or "yellow", not "red"'),
        (
            "colour = 'gren'",
            'colour: must be "green" or "yellow", not "gren"; did you mean "green"?',
        ),
        (
            "size = 'smal'",
            'size: must be "small" or "large", not "smal"; did you mean "small"?',
        ),
        ("size = 3", 'size: must be "small" or "large", not 3'),
        ("names = 'x'", 'names: must be an array, not "x"'),
        ("names = ['x', 3]", "names[1]: must be a text in quotes, not 3"),
        ("names = [['x']]", "names[0]: must be a text in quotes, not an array"),
        ("fruit = 'apple'", 'fruit: must be an array, not "apple"'),
        ("fruit = ['apple']", 'fruit[0]: must be a table, not "apple"'),
        (
            "[fruit]\ntype = 'pear'",
            "fruit: must be an array of tables: write [[fruit]], not [fruit]",
        ),
        ("[[fruit]]\nweight = 1", 'fruit[0].type: is missing; it is "apple" or "pear"'),
        (
            "[[fruit]]\ntype = 'aple'",
            'fruit[0].type: unknown kind "aple"; did you mean "apple"?',
        ),
        (
            "[[fruit]]\ntype = 'zzz'",
            'fruit[0].type: unknown kind "zzz"; it is "apple" or "pear"',
        ),
        (
            "[[fruit]]\ntype = 3",
            'fruit[0].type: unknown kind "3"; it is "apple" or "pear"',
        ),
        (
            "[[fruit]]\ntype = 'apple'\nwieght = 1",
            'fruit[0].wieght: unknown key; did you mean "weight"?',
        ),
        (
            "[[fruit]]\ntype = 'pear'\nripe = 1",
            "fruit[0].ripe: must be true or false, not 1",
        ),
        ("best.type = 'apel'", 'best.type: unknown kind "apel"; did you mean "apple"?'),
        ("best.type = 'apple'\nbest.weight = 0", "best.weight: must be at least 1, not 0"),
        ("best.type = 'apple'\nbest.weight = 9999", "best.weight: must be at most 1000, not 9999"),
        ("best.type = 'apple'\nbest.weight = 1.5", "best.weight: must be a whole number, not 1.5"),
        (
            "best.type = 'apple'\nbest.peeled-by = 1",
            "best.peeled-by: must be a text in quotes, not 1",
        ),
    ],
)
def test_a_mistake_in_plain_words(text: str, said: str) -> None:
    assert mistakes(text) == [said]


def test_all_of_them_at_once() -> None:
    text = """
        colr = 1
        size = "smal"
        [box]
        owner = "ME"
        [[fruit]]
        type = "aple"
        [[fruit]]
        type = "pear"
        ripe = 1
        [[fruit]]
        type = "apple"
        weight = 0
    """
    assert sorted(mistakes(text)) == [
        'box.owner: must be small letters, not "ME"',
        'colr: unknown key; did you mean "colour"?',
        'fruit[0].type: unknown kind "aple"; did you mean "apple"?',
        "fruit[1].ripe: must be true or false, not 1",
        "fruit[2].weight: must be at least 1, not 0",
        "fruit[2]: two are enough",
        'size: must be "small" or "large", not "smal"; did you mean "small"?',
    ]


def test_the_mistakes_of_the_document_come_too_and_are_not_said_twice() -> None:
    assert mistakes("names = [2024-01-02]\ncolour = 07:30:00") == [
        'names[0]: is a date or a time; put it in quotes: "2024-01-02"',
        'colour: is a date or a time; put it in quotes: "07:30:00"',
    ]


def test_the_file_that_has_the_mistake_is_named() -> None:
    base = of('colour = "red"\n[box]\nowner = "ME"\n', "base.toml")
    top = of('size = "smal"\n[box]\nside-length = true\n', "top.toml")
    with pytest.raises(ConfigError) as caught:
        loading.load(Basket, top.over(base))
    assert {
        line.split(": ")[0:2][1]: line.split(": ")[0] for line in str(caught.value).split("\n")
    } == {
        "box.owner": "base.toml",
        "box.side-length": "top.toml",
        "colour": "base.toml",
        "size": "top.toml",
    }


def test_what_is_right() -> None:
    text = 'colour = "yellow"\n[box]\nside-length = 2\n[[fruit]]\ntype = "pear"\nripe = true\n'
    assert loading.load(Basket, of(text)) == Basket(
        colour=Colour.yellow, box=Box(side_length=2), fruit=(Pear(ripe=True),)
    )


def test_paths_start_at_their_own_file() -> None:
    base = of('[best]\ntype = "apple"\npeeled-by = "knife"\n', "/base/base.toml")
    top = of('[[fruit]]\ntype = "apple"\npeeled-by = "/usr/knife"\n', "/top/top.toml")
    found = loading.load(Basket, loading.placed(Basket, top.over(base)))
    assert found.best == Apple(peeled_by=Path("/base/knife"))
    assert found.fruit == (Apple(peeled_by=Path("/usr/knife")),)


def test_the_closest_word() -> None:
    assert loading.did_you_mean("appel", ["apple", "pear"]) == '; did you mean "apple"?'
    assert loading.did_you_mean("zzz", ["apple", "pear"]) == ""
