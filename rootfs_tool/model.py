"""Models for the files a person writes: strict, frozen, and with errors that name the key."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import (
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

from rootfs_tool.document import Key

__all__ = [
    "AtOnce",
    "ErrorDetails",
    "Field",
    "Kinds",
    "Matching",
    "Model",
    "OneOrMore",
    "Parsed",
    "ValidationError",
    "ValidationInfo",
    "field_validator",
    "keys_of",
    "model_validator",
    "shown",
]

_LONG = 60  # characters of a value that an error shows


class Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The docstring below a field is its description.

        pydantic's use_attribute_docstrings would read every model's source whenever the program
        starts, for the sake of a schema that is seldom asked for.
        """
        found = handler(schema)
        properties = handler.resolve_ref_schema(found).get("properties", {})
        for name, text in _docstrings(cls).items():
            key = cls.model_fields[name].alias or name
            properties[key] = {**properties[key], "description": text}
        return found


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text right below each field of a model, by the field's name."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, Model) and owner is not Model:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
            assert isinstance(body, ast.ClassDef)
            for field, below in itertools.pairwise(body.body):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                        value=ast.Constant(value=str(text))
                    ) if name in model.model_fields:
                        found[name] = inspect.cleandoc(text)
    return found


class Kinds:
    """The kinds one TOML table can be, told apart by its ``type`` key.

    ``Annotated[ImageFormat, Kinds(Cpio, Ext4)]`` is an ImageFormat to the type checker and a
    tagged union to the loader.
    """

    def __init__(self, *kinds: type[Model]) -> None:
        self.by_name = {kind.model_fields["type"].default: kind for kind in kinds}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices = {name: handler.generate_schema(kind) for name, kind in self.by_name.items()}
        return core_schema.tagged_union_schema(choices, discriminator="type")

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        for choice in found["oneOf"]:  # the loader wants the tag, whatever its default
            table = handler.resolve_ref_schema(choice)
            table["required"] = sorted({*table.get("required", ()), "type"})
        return found


@dataclass(frozen=True, slots=True)
class Matching:
    """``Annotated[str, Matching("[a-z]+", "lower-case letters")]``: text of one form, in words."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(f"must be {self.words}, not {shown(text)}")
        return text


@dataclass(frozen=True, slots=True)
class AtOnce:
    """A check of a whole array, reported even where its elements have mistakes of their own.

    ``find`` gets the array's elements (models, or the tables that would have become models), then
    those of ``beside`` if that is said, and yields the key below the array and the reason of each
    mistake.
    """

    find: Callable[..., Iterable[tuple[Key, str]]]
    beside: str | None = None
    """An array of the same table, declared before, which ``find`` is to get too."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def mistakes(self, value: Sequence[Any], table: dict[str, Any]) -> Iterable[tuple[Key, str]]:
        """What is wrong with the array; ``table`` is that which holds it."""
        if self.beside is None:
            return self.find(value)
        beside = table.get(self.beside, ())
        return self.find(value, beside if isinstance(beside, list | tuple) else ())

    def _check(self, value: Sequence[Any], info: ValidationInfo) -> Sequence[Any]:
        found = [
            InitErrorDetails(
                type=PydanticCustomError("mistake", "{reason}", {"reason": reason}),
                loc=key,
                input=value,
            )
            for key, reason in self.mistakes(value, info.data)
        ]
        if found:
            raise ValidationError.from_exception_data("array", found)
        return value


@dataclass(frozen=True, slots=True)
class Parsed:
    """``Annotated[IPv4Network, Parsed(network, "^…$")]``: text that ``parse`` makes a value of.

    ``parse`` raises ValueError with the reason; ``pattern`` is what editors are told.
    """

    parse: Callable[[str], Any]
    pattern: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        written = core_schema.to_string_ser_schema()
        return core_schema.no_info_plain_validator_function(self._check, serialization=written)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": self.pattern}

    def _check(self, value: object) -> Any:
        if value is None or isinstance(value, int | float | list | tuple | dict):
            raise PydanticKnownError("string_type")
        return self.parse(str(value))


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """``Annotated[tuple[X, ...], OneOrMore()]``: an array, or one X without the brackets."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = handler(schema)
        return {"anyOf": [array["items"], array]}

    def _check(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        if isinstance(value, list | tuple):
            return handler(tuple(value))
        try:
            return handler((value,))
        except ValidationError as error:
            found = [
                InitErrorDetails(
                    type=one["type"], loc=one["loc"][1:], input=one["input"], ctx=one.get("ctx", {})
                )
                for one in error.errors()
            ]
        raise ValidationError.from_exception_data("text", found)


def keys_of(model: type[Model]) -> list[str]:
    """The keys of its table, as people write them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def shown(value: object) -> str:
    """A value roughly as TOML writes it, and not too much of it."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONG else f'{text[: _LONG - 2]}…"'
