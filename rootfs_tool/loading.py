"""From a document to a model: strictly, and with every mistake told at once in plain words."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import AddressValueError
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from rootfs_tool.document import Document, Key, Mistake, Table
from rootfs_tool.errors import ConfigError
from rootfs_tool.model import (
    AtOnce,
    ErrorDetails,
    Kinds,
    Model,
    ValidationError,
    keys_of,
    shown,
)

M = TypeVar("M", bound=Model)


def load(
    model: type[M], document: Document, *, above: str | None = None, beside: Sequence[str] = ()
) -> M:
    """Make a ``model`` of what a person wrote.

    ``above`` is a table whose keys stand in the root table of the files, so it is left out where a
    mistake is named; ``beside`` are those of its keys that may stand beside the model's own. Raises
    ConfigError with a line for every mistake there is.
    """
    try:
        value = model.model_validate_json(
            json.dumps(document.table, default=str), strict=True, by_alias=True, by_name=False
        )
        errors: list[ErrorDetails] = []
        if not document.mistakes:
            return value
    except ValidationError as error:
        errors = error.errors()
    known = {mistake.key for mistake in document.mistakes}
    found = dict.fromkeys(
        [
            *(_explain(model, one, beside) for one in errors if not _excused(one, known)),
            *_at_once(model, document.table, ()),
        ]
    )
    mistakes = [
        *document.mistakes,
        *(Mistake(document.origin(key), key, why) for key, why in found if key not in known),
    ]
    raise ConfigError(
        "\n".join(str(Mistake(one.file, _below(above, one.key), one.reason)) for one in mistakes)
    )


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """How a sentence on a word that is none of ``choices`` ends: with the closest, if any is."""
    close = difflib.get_close_matches(word, list(choices), 1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _below(above: str | None, key: Key) -> Key:
    return key[1:] if len(key) > 1 and key[0] == above else key


def _excused(error: ErrorDetails, known: Iterable[Key]) -> bool:
    """Whether a base that could not be read may well have had what is missing."""
    return error["type"] == "missing" and any(key[-1:] == ("extends",) for key in known)


def _at_once(model: type[Model], table: dict[str, Any], at: Key) -> Iterator[tuple[Key, str]]:
    for name, field in model.model_fields.items():
        key, value = (*at, field.alias or name), table.get(field.alias or name)
        for check in field.metadata:
            if isinstance(check, AtOnce) and isinstance(value, list):
                found = check.mistakes(value, table)
                yield from (((*key, *below), reason) for below, reason in found)
        below = _bare(field.annotation)
        if isinstance(below, type) and issubclass(below, Model) and isinstance(value, dict):
            yield from _at_once(below, value, key)


_PLAIN = {  # what pydantic calls an error -> what a person would
    "bool_type": "must be true or false, not {given}",
    "dict_type": "must be a table, not {given}",
    "finite_number": "must be a finite number, not {given}",
    "float_type": "must be a number, not {given}",
    "greater_than": "must be more than {gt}, not {given}",
    "greater_than_equal": "must be at least {ge}, not {given}",
    "int_from_float": "must be a whole number, not {given}",
    "int_type": "must be a whole number, not {given}",
    "less_than": "must be less than {lt}, not {given}",
    "less_than_equal": "must be at most {le}, not {given}",
    "missing": "is missing",
    "model_attributes_type": "must be a table, not {given}",
    "model_type": "must be a table, not {given}",
    "path_type": "must be a path in quotes, not {given}",
    "string_pattern_mismatch": "must match {pattern}, not {given}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be a text in quotes, not {given}",
    "too_long": "must have at most {max_length} elements",
    "too_short": "must have at least {min_length} elements",
    "tuple_type": "must be an array, not {given}",
}


def _explain(model: type[Model], error: ErrorDetails, beside: Sequence[str]) -> tuple[Key, str]:
    """Which key of the file it is, and what is wrong with it in plain words."""
    *around, (key, shape) = _follow(model, error["loc"])
    ctx, given, word = error.get("ctx", {}), error["input"], shown(error["input"])
    match error["type"]:
        case "extra_forbidden":
            table = around[-1][1]
            keys = [*keys_of(table), *(beside if len(key) == 1 else ())]
            return key, "unknown key" + did_you_mean(str(key[-1]), keys)
        case "union_tag_not_found" if isinstance(shape, Kinds):
            return (*key, "type"), f"is missing; it is {_either(shape.by_name)}"
        case "union_tag_invalid" if isinstance(shape, Kinds):
            guess = did_you_mean(ctx["tag"], shape.by_name) or f"; it is {_either(shape.by_name)}"
            return (*key, "type"), f"unknown kind {shown(ctx['tag'])}{guess}"
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", ctx["expected"])
            guess = did_you_mean(given, choices) if isinstance(given, str) else ""
            return key, f"must be {_either(choices)}, not {word}{guess}"
        case "value_error" if isinstance(ctx["error"], AddressValueError):
            return key, f"must be an IPv4 address, not {word}"
        case "value_error" | "mistake":
            return key, str(ctx.get("error") or ctx["reason"])
        case "tuple_type" if isinstance(given, dict):
            # The commonest slip in TOML: one pair of brackets where an array of tables wants two.
            return key, f"must be an array of tables: write [[{key[-1]}]], not [{key[-1]}]"
        case kind if kind in _PLAIN:
            return key, _PLAIN[kind].format(**ctx, given=word)
        case _:
            return key, error["msg"]


def _follow(model: type[Model], loc: Key) -> list[tuple[Key, Any]]:
    """Every key from the root to ``loc`` with the type that stands there.

    pydantic's ``loc`` names the kind of a table too, as if it were a key; the file's does not.
    """
    key: Key = ()
    shape: Any = model
    trail: list[tuple[Key, Any]] = [(key, shape)]
    for part in loc:
        if isinstance(shape, Kinds):
            trail[-1] = (key, shape := shape.by_name[part])
            continue
        key = (*key, part)
        shape = _inside(shape, part)
        trail.append((key, shape))
    return trail


def _inside(shape: Any, part: str | int) -> Any:
    """The type of what stands at ``part`` of a table or an array."""
    if isinstance(shape, type) and issubclass(shape, Model):
        for name, field in shape.model_fields.items():
            if part in (name, field.alias):
                kinds = [one for one in field.metadata if isinstance(one, Kinds)]
                return kinds[0] if kinds else _bare(field.annotation)
    if get_origin(shape) is tuple and isinstance(part, int):
        return _bare(get_args(shape)[0])
    return None


def _bare(annotation: Any) -> Any:
    """A type without what is annotated or optional about it; Kinds if it is of several kinds."""
    if get_origin(annotation) is Annotated:
        kinds = [one for one in annotation.__metadata__ if isinstance(one, Kinds)]
        return kinds[0] if kinds else _bare(annotation.__origin__)
    if get_origin(annotation) in (Union, UnionType):
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def _either(choices: Iterable[str]) -> str:
    quoted = [f'"{one}"' for one in choices]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def placed(model: type[Model], document: Document) -> Document:
    """The document with every path in it taken from the directory of the file that has it."""

    def place(path: str, key: Key) -> str:
        home = os.path.expanduser(path)  # noqa: PTH111  # which raises nothing
        return str(document.origin(key).parent / home)

    return replace(document, table=_moved(model, document.table, (), place))


def moved(model: type[Model], table: Table, move: Callable[[str], str]) -> Table:
    """The table of a model with every path in it as ``move`` makes it."""
    found: Table = _moved(model, table, (), lambda path, _: move(path))
    return found


def _moved(shape: Any, value: Any, key: Key, move: Callable[[str, Key], str]) -> Any:
    if isinstance(value, dict):
        kind = shape.by_name.get(value.get("type")) if isinstance(shape, Kinds) else shape
        return {
            name: _moved(_inside(kind, name), one, (*key, name), move)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [
            _moved(_inside(shape, index), one, (*key, index), move)
            for index, one in enumerate(value)
        ]
    return move(value, key) if shape is Path and isinstance(value, str) else value
