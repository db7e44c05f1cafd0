"""What is wrong with settings, in words: a line for each fault, with its key, what came and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError


def fault(kind: str, message: str | None) -> PydanticCustomError:
    """To be raised by a validator. Braces in a message would be placeholders to pydantic, so it is given as a value.

    Args:
        kind: `known` and `member` are shown after the key; `contradiction` names its keys itself; others also show what came.
    """
    return PydanticCustomError(kind, "{message}", {"message": message})


def inside(error: ValidationError, model: type[BaseModel]) -> PydanticCustomError:
    """The faults of a part that is checked by a model of its own; each is shown under the key of that part."""
    return PydanticCustomError("inside", "faults", {"faults": list(faults(error, model))})


def faults(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """One line a fault: key path, what is wrong, what came, what is allowed."""
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        match fault["type"]:
            case "inside":
                yield from (f"{where}.{line}" for line in fault["ctx"]["faults"])
            case "extra_forbidden":
                *parents, key = fault["loc"]
                allowed = keys_under(model, parents)
                near = difflib.get_close_matches(str(key), allowed, n=1)
                hint = f"did you mean `{near[0]}`? " if near else ""
                yield f"{where}: unknown key (came {fault['input']!r}); {hint}known keys: {', '.join(allowed)}"
            case "missing":
                yield f"{where}: this key is missing"
            case "contradiction":
                yield fault["msg"]
            case "known" | "member":
                yield f"{where}: {fault['msg']}"
            case _:
                yield f"{where}: {fault['msg'][:1].lower()}{fault['msg'][1:]} (came {fault['input']!r})"


def keys_under(model: type[BaseModel], place: Iterable[int | str]) -> list[str]:
    for part in place:
        if isinstance(part, str):
            field = next(f for key, f in model.model_fields.items() if part in (f.alias, key))
            model = next(t for t in types_in(field.annotation) if issubclass(t, BaseModel))
    return [field.alias or key for key, field in model.model_fields.items()]


def types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from types_in(inner)
