"""Models for the files a person writes: strict, frozen, and with errors that name the key."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import core_schema


class Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


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
