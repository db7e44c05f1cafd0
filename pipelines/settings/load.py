"""params.yaml read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.core import paths
from pipelines.core.errors import InputError
from pipelines.settings.faults import faults
from pipelines.settings.schema import Params


def load_params(path: Path = paths.PARAMS) -> Params:
    """The settings in `path`.

    Raises:
        InputError: the file is missing, no YAML, or says something that is not allowed; every fault is named.
    """
    return check_params(parse_yaml(read_text(path), str(path)), str(path))


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
