"""Events in a table: one row each, with the columns below; what an event does not have is empty."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.feedback.imports import foreign

ALWAYS = ("type", "rater", "at")
SAMPLE = ("version", "seed", "label", "prompt")
PLAIN = ("id", *ALWAYS, "value", "image", "row", "reason")
COLUMNS = (*PLAIN, *SAMPLE, *(f"{side}_{part}" for side in ("winner", "loser") for part in SAMPLE))
WHOLE = {"value", "version", "seed", "label"}  # columns of whole numbers
OWN_LABEL = ("upload", "label")  # types whose label is not their sample's

NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.0*)?")


def check_columns(columns: Sequence[str], path: Path) -> None:
    """Raises InputError where these are not the columns of events."""
    check_table(columns, path)
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: two columns have the name {repeated[0]!r}")
    missing = [name for name in ALWAYS if name not in columns]
    if missing:
        came = ", ".join(columns[:10]) or "none"
        raise InputError(f"{path}: no column {missing[0]!r}; events have {', '.join(ALWAYS)} at least; columns here: {came}")
    for name in columns:
        if name not in COLUMNS:
            raise InputError(f"{path}: column {catalogue.unknown_name(name, COLUMNS)}")


def check_table(columns: Sequence[str], path: Path) -> None:
    """Raises InputError where this is the table of another tool, or a line whose columns no comma separates."""
    cells = re.split("[;\t|]", columns[0]) if len(columns) == 1 else columns
    if what := foreign.describe_record(dict.fromkeys(cell.strip(' "') for cell in cells)):
        raise InputError(f"{path}: this is {what}")
    if len(cells) > len(columns):
        raise InputError(f"{path}: its columns are separated by another sign than a comma; save it with commas")


def nest(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the JSON form of an event. What does not belong to its type stays in, for the event to refuse."""
    filled = {name: value for name, value in row.items() if value not in (None, "")}
    filled |= {name: whole_number(value) for name, value in filled.items() if name.rpartition("_")[2] in WHOLE}
    record = {name: filled[name] for name in PLAIN if name in filled}
    sample = {name: filled[name] for name in SAMPLE if name in filled}
    if filled.get("type") in OWN_LABEL and "label" in sample:
        record["label"] = sample.pop("label")
    for key, parts in (("sample", sample), ("winner", side("winner", filled)), ("loser", side("loser", filled))):
        if parts:
            record[key] = parts
    return record


def side(name: str, filled: Mapping[str, Any]) -> dict[str, Any]:
    return {part: filled[column] for part in SAMPLE if (column := f"{name}_{part}") in filled}


def whole_number(value: Any) -> Any:
    """A number as text or float -> int, where it is one; else as it came, for the event to refuse.

    `3.0` is how pandas writes 3 in a column with gaps.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return int(value.partition(".")[0])
    return value
