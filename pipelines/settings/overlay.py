"""Changes of params.yaml: overlays and single keys are written into it, comments kept, as `dvc exp run -S` does."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.core import files, paths
from pipelines.core.errors import InputError
from pipelines.settings.load import check_params, parse_yaml, read_text
from pipelines.settings.schema import Params


def update_params(overlays: Iterable[Path] = (), settings: Iterable[str] = (), path: Path = paths.PARAMS) -> Params:
    """Write overlays, then `key=value` settings, into `path`, comments kept; nothing is written unless all of it is allowed.

    Args:
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
