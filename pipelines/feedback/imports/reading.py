"""Which reader a file needs, by its name and its first bytes."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

from pipelines.core.errors import InputError
from pipelines.feedback.imports.readers import comma_separated, json_text, parquet
from pipelines.feedback.imports.readers.base import Source

KINDS: dict[str, Callable[[Path], Source]] = {
    "jsonl": json_text.of_lines,
    "json": json_text.of_values,
    "csv": comma_separated.of_rows,
    "parquet": parquet.of_rows,
}
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is how this one begins
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def opened(path: Path, kind: str | None = None) -> Source:
    """A file as records.

    Args:
        kind: one of KINDS; by default what the file looks like.

    Raises:
        InputError: it is missing, empty, binary or in another encoding than UTF-8, or its header cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'is not a file' if path.exists() else 'no such file'}")
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise InputError(f"{path}: the file is empty")
    kind = kind or kind_of(path, start)
    if kind != "parquet":
        check_text(path, start)
    return KINDS[kind](path)


def kind_of(path: Path, start: bytes) -> str:
    if start.startswith(b"PAR1"):
        return "parquet"
    named = SUFFIXES.get(path.suffix.lower())
    first = start.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if named == "jsonl" and first == b"[":
        return "json"
    found = named or {b"[": "json", b"{": "jsonl"}.get(first)
    if found is None:
        check_text(path, start)
        raise InputError(f"{path}: give --format, or a name that ends in {', '.join(SUFFIXES)}")
    return found


def check_text(path: Path, start: bytes) -> None:
    for mark, encoding in ENCODINGS.items():
        if start.startswith(mark):
            raise InputError(f"{path}: is in {encoding}; save it as UTF-8")
    if b"\0" in start:
        raise InputError(f"{path}: is binary; expected JSON lines, a JSON list, CSV (all in UTF-8) or Parquet")
