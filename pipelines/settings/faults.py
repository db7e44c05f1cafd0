"""Faults of settings in words: a line for each, with its key, what came and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError


def fault(message: str, kind: Literal["value", "choice", "contradiction"] = "value") -> PydanticCustomError:
    """To be raised by a validator. Braces in a message would be placeholders to pydantic, so it is given as a value.

    kind: a `value` is shown after its key and with what came, a `choice` after its key; a `contradiction` names its keys.
    """
    return PydanticCustomError(kind, "{message}", {"message": message})


def contradiction(message: str) -> PydanticCustomError:
    """A fault of several settings together; the message names them."""
    return fault(message, "contradiction")


def check_part(model: type[BaseModel], content: Any) -> Any:
    """A part of the settings that has a model of its own; each fault is shown under the key of that part."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise PydanticCustomError("nested", "faults", {"faults": list(describe(error, model))}) from None


def faults(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """One line a fault: key path, what is wrong, what came, what is allowed."""
    for path, text in describe(error, model):
        yield f"{path}: {text}" if path else text


def describe(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Key path and text of each fault; no path where the text names the keys."""
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"])
        match fault["type"]:
            case "nested":
                for inner, text in fault["ctx"]["faults"]:
                    yield ".".join(filter(None, (path, inner))), text
            case "extra_forbidden":
                *parents, key = fault["loc"]
                allowed = keys_under(model, parents)
                near = difflib.get_close_matches(str(key), allowed, n=1)
                hint = f"did you mean `{near[0]}`? " if near else ""
                yield path, f"unknown key (came {fault['input']!r}); {hint}known keys: {', '.join(allowed)}"
            case "missing":
                yield path, "this key is missing"
            case "contradiction":
                yield "", fault["msg"]
            case "choice":
                yield path, fault["msg"]
            case _:
                yield path, f"{fault['msg'][:1].lower()}{fault['msg'][1:]} (came {fault['input']!r})"


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
