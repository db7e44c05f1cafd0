"""Faults of settings in words: a line for each, with its key, what came and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError


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
                yield path, f"unknown key (came {shown(fault['input'])}); {hint}known keys: {', '.join(allowed)}"
            case "missing":
                yield path, "this key is missing"
            case "contradiction":
                yield "", fault["msg"]
            case "choice":
                yield path, fault["msg"]
            case "string_type" if fault["input"] is None:
                yield path, "came an empty value; expected text"
            case kind:
                message = f"{fault['msg'][:1].lower()}{fault['msg'][1:]} (came {shown(fault['input'])})"
                yield path, message + (quoting_hint(fault["input"]) if kind == "string_type" else "")


def shown(value: Any) -> str:
    """A value as params.yaml has it, as far as that differs from Python: 2024-01-01 is a date there."""
    if value is None:
        return "an empty value"
    return str(value) if isinstance(value, date) else repr(value)


def quoting_hint(value: Any) -> str:
    """What to do where YAML took for a number, a date or a truth value what should be text."""
    if not isinstance(value, bool | int | float | date):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'; put text that looks like something else into quotes: "{text}"'


def describe_yaml_error(error: Exception, text: str) -> str:
    """What is wrong with the YAML in `text`, in one line that begins with the number of the line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("<<<<<<< "):
            return f"line {number}: conflict markers of a merge; choose what the file shall say, then `git add` it"
    line_number, words = None, str(error).partition("\n")[0]
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        line_number, words = error.problem_mark.line + 1, str(error.problem)
        if "'\\t'" in words:
            words = "a tab; YAML is indented with spaces"
        elif error.context and error.context_mark:
            words = f"{words}, {error.context} that begins in line {error.context_mark.line + 1}"
    elif isinstance(error, ReaderError):
        line_number, words = (
            text.count("\n", 0, error.position) + 1,
            f"YAML does not allow the character {text[error.position]!r}",
        )
    elif isinstance(error, LookupError):
        words = "a value is not what its tag says, as in `!!int ''`; leave the tag out"
    elif isinstance(error, OverflowError):
        words = "an escape in a text is no character"
    elif isinstance(error, RecursionError):
        words = "more levels than any settings have"
    return words if line_number is None or "\n" not in text.strip() else f"line {line_number}: {words}"


def duplicate_keys(text: str) -> Iterator[str]:
    """A line for each key that stands twice in the same mapping of the YAML in `text`, with its path and both lines."""
    below: list[tuple[str, Node]] = [("", YAML(typ="safe", pure=True).compose(text))]
    seen: set[int] = set()  # an alias is the same node again, and may be inside of itself
    while below:
        path, node = below.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            below += [(f"{path}{number}.", entry) for number, entry in enumerate(node.value)]
        elif isinstance(node, MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in lines:
                    where = "twice in line" if line == lines[name] else f"in line {lines[name]} and again in line"
                    yield f"duplicate key: `{path}{name}` stands {where} {line}; remove one of the two"
                lines.setdefault(name, line)
                below.append((f"{path}{name}.", value))


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
