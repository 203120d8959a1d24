"""Models: frozen, kebab-case, one table of several kinds, text of one form."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from rootfs_tool.model import AtOnce, Kinds, Matching, Model, ValidationError, keys_of, shown


class Apple(Model):
    type: Literal["apple"] = "apple"
    stem_length: int = 1
    """In millimetres."""


class Pear(Model):
    type: Literal["pear"] = "pear"


class Bag(Model):
    fruit: Annotated[Model, Kinds(Apple, Pear)]
    label: Annotated[str, Matching("[a-z]+", "small letters")] = "x"


def test_keys_are_kebab_case_and_models_frozen() -> None:
    apple = Apple(stem_length=3)
    assert apple.model_dump() == {"type": "apple", "stem-length": 3}
    assert keys_of(Apple) == ["type", "stem-length"]
    with pytest.raises(ValidationError):
        apple.stem_length = 4


def test_a_kind_is_told_by_its_tag_and_comes_back_from_json() -> None:
    bag = Bag.model_validate_json('{"fruit": {"type": "apple", "stem-length": 2}}', strict=True)
    assert bag.fruit == Apple(stem_length=2)
    assert Bag.model_validate_json(bag.model_dump_json(), strict=True) == bag


@pytest.mark.parametrize("text", ["X", "", "x\n", "x x"])
def test_text_of_one_form(text: str) -> None:
    with pytest.raises(ValidationError, match="must be small letters, not"):
        Bag(fruit=Pear(), label=text)


def test_an_array_is_checked_wherever_it_was_made() -> None:
    class Odd(Model):
        numbers: Annotated[
            tuple[int, ...],
            AtOnce(lambda rows: [((i,), "is even") for i, n in enumerate(rows) if n % 2 == 0]),
        ]

    assert Odd(numbers=(1, 3)).numbers == (1, 3)
    with pytest.raises(ValidationError) as caught:
        Odd(numbers=(1, 2, 4))
    assert [one["loc"] for one in caught.value.errors()] == [("numbers", 1), ("numbers", 2)]


def test_the_schema_wants_the_tag_and_the_pattern() -> None:
    schema: dict[str, Any] = Bag.model_json_schema()
    assert schema["properties"]["label"]["pattern"] == "^(?:[a-z]+)$"
    assert schema["$defs"]["Apple"]["required"] == ["type"]
    assert schema["$defs"]["Apple"]["properties"]["stem-length"]["description"] == "In millimetres."


def test_values_are_shown_as_they_are_written() -> None:
    assert [shown(one) for one in ("x", 1, True, [1], {"a": 1})] == [
        '"x"',
        "1",
        "true",
        "an array",
        "a table",
    ]
