"""The types that a schema allows for a key, by which `--set key=value` knows whether a value is text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from pipelines import catalogue
from pipelines.settings.schema import MEMBERS


def types_at(model: type[BaseModel], content: Any, key: Sequence[str | int]) -> set[Any]:
    """What a value at `key` may be, as in {str, NoneType} or {list[str]}; empty where the schema has no such key.

    content: the settings, which say what type each source has and which rule each of clean.rules is.
    """
    found: set[Any] = {model}
    for part in key:
        found = {inner for kind in found for inner in types_below(kind, content, part)}
        content = child(content, part)
    return found


def types_below(kind: Any, content: Any, part: str | int) -> Iterator[Any]:
    if get_origin(kind) in (list, dict):
        yield from alternatives(get_args(kind)[-1])
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in member(kind, content).model_fields.items():
            if part == (field.alias or name):
                yield from alternatives(field.annotation)


def member(base: type[BaseModel], content: Any) -> type[BaseModel]:
    """The class of a source or rule by its settings, as far as they name a known one; any other class as it is."""
    table, key = MEMBERS.get(base, ({}, ""))
    name = child(content, key)
    found: type[BaseModel] = catalogue.get(table, name) if isinstance(name, str) and name in table else base
    return found


def child(content: Any, part: str | int) -> Any:
    try:
        return content[part]
    except (LookupError, TypeError):
        return None


def alternatives(annotation: Any) -> Iterator[Any]:
    """`Annotated[str, ...] | None` -> str and NoneType; `Literal["all"] | int` -> str and int."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from alternatives(one)
    elif origin is Literal:
        yield from {type(one) for one in get_args(annotation)}
    elif origin is list:
        inner = set(alternatives(get_args(annotation)[0]))
        yield list[str] if inner == {str} else annotation
    else:
        yield annotation
