"""params.yaml read, checked and changed: overlays and single keys are written into it, comments kept."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.settings.faults import faults
from pipelines.settings.schema import Params


def load_params(path: Path) -> Params:
    """The settings in `path`; raises InputError, which names every fault, where it has none that are allowed."""
    return check_params(parse_yaml(read_text(path), str(path)), str(path))


def update_params(path: Path, overlays: Iterable[Path] = (), settings: Iterable[str] = ()) -> Params:
    """Write overlays, then `key=value` settings, into `path`, comments kept; nothing is written unless all of it is allowed.

    overlays: YAML files; their mappings are laid over the file's, their lists and values replace the file's.
    settings: `key=value` with dots and list indices in the key (`sources.0.path=digits.npz`), YAML in the value.
    """
    before = read_text(path)
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 120
    editor.indent(mapping=2, sequence=4, offset=2)
    try:
        document = editor.load(before)
    except YAMLError:
        return check_params(parse_yaml(before, str(path)), str(path))  # says what is wrong with it
    name = str(path)
    for overlay in overlays:
        changes = parse_yaml(read_text(overlay), str(overlay))
        if not isinstance(changes, dict):
            raise InputError(f"{overlay}: expected a mapping of settings, came {type(changes).__name__}")
        lay_over(document, changes)
        name = f"{overlay} over {name}"
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InputError(f"--set {setting}: expected key=value, as in --set train.steps=500")
        set_key(document, key, parse_yaml(value, f"--set {setting}"))
        name = f"--set {key} in {name}" if name == str(path) else name
    text = io.StringIO()
    editor.dump(document, text)
    params = check_params(parse_yaml(text.getvalue(), name), name)
    if text.getvalue() != before:
        files.write(path, text.getvalue())
    return params


def lay_over(document: Any, changes: dict[Any, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            lay_over(document[key], value)
        else:
            document[key] = value


def set_key(document: Any, key: str, value: Any) -> None:
    """Set the dotted `key` of `document`. Keys that are not known are left for the check to name."""
    node = document
    parts = [int(part) if part.isdigit() else part for part in key.split(".")]
    for depth, part in enumerate(parts):
        if isinstance(node, list):
            if not isinstance(part, int) or part >= len(node):
                raise InputError(f"--set {key}: expected an index below {len(node)} of that list, came {part!r}")
        elif not isinstance(node, dict):
            raise InputError(f"--set {key}: {'.'.join(map(str, parts[:depth]))} is {node!r}, which has no keys")
        if depth == len(parts) - 1:
            node[part] = value
        else:
            if isinstance(node, dict):
                node.setdefault(part, {})
            node = node[part]


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def parse_yaml(text: str, name: str) -> Any:
    """Plain YAML to plain Python: tags that would make objects are refused, and so are keys given twice."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith(" " * 8)]
        raise InputError(f"{name}: not usable YAML: {'; '.join(lines[:4])}") from None


def check_params(settings: Any, name: str) -> Params:
    if not isinstance(settings, dict):
        raise InputError(f"{name}: expected a mapping of settings, came {type(settings).__name__}")
    try:
        return Params.model_validate(settings)
    except ValidationError as error:
        raise InputError("\n".join(f"{name}: {fault}" for fault in faults(error, Params))) from None
