"""YAML files of settings: read into plain values, with every fault in words, and written with the line ends that they have."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.settings.faults import describe_yaml_error, duplicate_keys


def read_text(path: Path) -> str:
    """The text of a YAML file, its lines ended by a line feed, without a byte order mark."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; expected a file of settings") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: this is text in UTF-16; save it as UTF-8")
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise InputError(f"{path}: line {line}: byte 0x{byte:02x} is no UTF-8 text; save the file as UTF-8") from None
    return text.replace("\r\n", "\n")


def write_text(path: Path, text: str) -> None:
    """Write a YAML file with the mode, line ends and byte order mark that it has. Where it is a link, its target changes."""
    before = path.read_bytes()
    if before.count(b"\r\n") * 2 > before.count(b"\n"):
        text = text.replace("\n", "\r\n")
    mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
    write_bytes(path, mark + text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of a file, whose mode stays. Where it is a link, its target changes."""
    path = path.resolve()
    mode = path.stat().st_mode
    files.write(path, content)
    if path.stat().st_mode != mode:
        path.chmod(stat.S_IMODE(mode))


def parse_yaml(text: str, name: str, kind: Literal["safe", "base"] = "safe") -> Any:
    """Plain YAML to plain Python: tags that would make objects are refused, and so are keys that stand twice.

    kind: `base` leaves all values as text.
    """
    try:
        content = YAML(typ=kind, pure=True).load(text)
    except DuplicateKeyError:
        lines = list(duplicate_keys(text)) or ["duplicate key: two keys of one mapping are the same value, as 1 and 0x1 are"]
        raise InputError("\n".join(f"{name}: {line}" for line in lines)) from None
    except (YAMLError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{name}: not usable YAML: {describe_yaml_error(error, text)}") from None
    if halves := [part for part in texts(content) if any("\ud800" <= character <= "\udfff" for character in part)]:
        raise InputError(f"{name}: {halves[0]!r} has half of a character, which is no text; write the character itself")
    return content


def texts(content: Any) -> Iterator[str]:
    """All texts in it, keys too. What an alias repeats comes once, and it may be inside of itself."""
    below, seen = [content], set[int]()
    while below:
        part = below.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict | list | tuple | set) and id(part) not in seen:
            seen.add(id(part))
            below += [*part, *part.values()] if isinstance(part, dict) else part


def check_mapping(content: Any, name: str) -> None:
    if content is None:
        raise InputError(f"{name}: there are no settings in it; expected a mapping, as in `train: {{steps: 500}}`")
    if not isinstance(content, dict):
        raise InputError(f"{name}: expected a mapping of settings, came {type(content).__name__}")
