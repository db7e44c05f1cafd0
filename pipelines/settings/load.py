"""params.yaml read, checked and changed: overlays and single keys are written into it, comments kept."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipelines.core.errors import InputError
from pipelines.settings.faults import describe
from pipelines.settings.key_types import types_at
from pipelines.settings.schema import Params
from pipelines.settings.yaml_files import check_mapping, parse_yaml, read_text, write_text


def load_params(path: Path, root: Path | None = None) -> Params:
    """The settings in `path`; raises InputError, which names every fault, where it has none that are allowed.

    root: the project's folder, where a relative path begins; without it the one that `path` lies in.
    """
    return check_params(parse_yaml(read_text(path), str(path)), str(path), root=root or path.parent)


def update_params(path: Path, overlays: Iterable[Path] = (), settings: Iterable[str] = (), root: Path | None = None) -> Params:
    """Write overlays, then `key=value` settings, into `path`, comments kept; nothing is written unless all of it is allowed.

    overlays: YAML files; their mappings are laid over the file's, their lists and values replace the file's.
    settings: `key=value` with dots and list indices in the key (`sources.0.path=digits.npz`), values as `set_text` takes them.
    root: as of `load_params`.
    """
    before = read_text(path)
    check_mapping(parse_yaml(before, str(path)), str(path))  # says better what is wrong than the editor does
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 120
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(before)
    name, keys = str(path), []
    for overlay in overlays:
        changes = parse_yaml(read_text(overlay), str(overlay))
        check_mapping(changes, str(overlay))
        lay_over(document, changes)
        name = f"{overlay} over {name}"
    for setting in settings:
        keys.append(set_text(document, setting, Params, "train.steps=500"))
    text = io.StringIO()
    editor.dump(document, text)
    params = check_params(parse_yaml(text.getvalue(), name), name, keys, root or path.parent)
    if text.getvalue() != before:
        write_text(path, text.getvalue())
    return params


def set_text(document: Any, setting: str, model: type[BaseModel], example: str) -> str:
    """Set `key=value` in `document`, which holds the content of a `model`; returns the key.

    The value is taken literally where the model expects text, else it is YAML.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise InputError(f"--set {setting}: expected key=value, as in --set {example}")
    set_key(document, key, parse_value(text, types_at(model, document, key_parts(key)), f"--set {setting}"))
    return key


def parse_value(text: str, types: set[Any], name: str) -> Any:
    """The value that `text` stands for where the schema allows `types`.

    Text is literal, whatever YAML would make of `2024`, `a: b` or ` #`, apart from quotes around all of it, which are taken
    off. Nothing at all is null, and so is the word where the schema allows it.
    """
    optional = NoneType in types
    if not text or (optional and text == "null"):
        return None
    wanted = types - {NoneType}
    if wanted == {str}:
        value = unquote(text)
        return value if value.isprintable() else DoubleQuotedScalarString(value)  # plain, some would be read as line ends
    value = parse_yaml(text, name, "base" if wanted == {list[str]} else "safe")
    whole = isinstance(value, float) and value.is_integer() and int in types and float not in types  # as in 1e3
    return int(value) if whole else value


def unquote(text: str) -> str:
    """The text in the quotes of YAML, which shells often leave around a value; any other text as it is."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        with contextlib.suppress(InputError):
            value = parse_yaml(text, "")
            return value if isinstance(value, str) else text
    return text


def lay_over(document: Any, changes: dict[Any, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            lay_over(document[key], value)
        else:
            document[key] = value


def set_key(document: Any, key: str, value: Any) -> None:
    """Set the dotted `key` of `document`. Keys that are not known are left for the check to name."""
    node = document
    parts = key_parts(key)
    for depth, part in enumerate(parts):
        if isinstance(node, list):
            if not isinstance(part, int) or part >= len(node):
                allowed = ("no index, because that list is empty", "0")[len(node)] if len(node) < 2 else f"0 to {len(node) - 1}"
                raise InputError(f"--set {key}: expected {allowed}, came {part!r}")
        elif not isinstance(node, dict):
            raise InputError(f"--set {key}: {'.'.join(map(str, parts[:depth]))} is {node!r}, which has no keys")
        if depth == len(parts) - 1:
            node[part] = value
        else:
            if isinstance(node, dict):
                node.setdefault(part, {})
            node = node[part]


def key_parts(key: str) -> list[str | int]:
    """sources.0.path -> ["sources", 0, "path"]"""
    return [int(part) if part.isascii() and part.isdigit() else part for part in key.split(".")]


def check_params(settings: Any, name: str, keys: Sequence[str] = (), root: Path | None = None) -> Params:
    """name: where the settings are from, for messages. keys: those that `--set` has set in them.

    root: the folder of the project, which relative paths are looked for in; None for the working directory.
    """
    check_mapping(settings, name)
    try:
        return Params.model_validate(settings, context={"root": root})
    except ValidationError as error:
        lines, name_with_keys = [], f"{name} with --set {', '.join(keys)}" if keys else name
        for path, text in describe(error, Params):
            line = f"{path}: {text}" if path else text
            blamed = next((key for key in reversed(keys) if concerns(key, path, text)), None)
            lines.append(f"{name_with_keys}: {line}" if blamed is None else f"--set {blamed}: {line}")
        raise InputError("\n".join(lines)) from None


def concerns(key: str, path: str, text: str) -> bool:
    """Whether a fault at `path`, or one of several settings that its text names, is of what was set at `key`."""
    if not path:
        return re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", text) is not None
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")
