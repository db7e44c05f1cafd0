"""Argilla's records, version 2: `records.to_json`, and the flat rows that `records.to_datasets` gives.

What was shown is in the record's `metadata`, under the keys of exports.KEYS. An export has no times.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pipelines.feedback.events import RecordError, short_repr
from pipelines.feedback.imports.base import AnswerWords, Entry
from pipelines.feedback.imports.exports import Export, event_fields, question_keys
from pipelines.feedback.imports.json_text import JsonLines, JsonValues
from pipelines.feedback.imports.parquet import ParquetRows

RESPONSES = ".responses"  # how the columns of flat rows end that hold answers; `.users` and `.status` belong to them
SUBMITTED = "submitted"


class Argilla(Export):
    containers = (JsonLines(), JsonValues(), ParquetRows())
    tool = "Argilla"

    def fits(self, content: Any) -> bool:
        return isinstance(content, dict) and (is_nested(content) or any(name.endswith(RESPONSES) for name in content))

    def entries(self, content: Any, words: AnswerWords) -> Iterator[Entry]:
        if not self.fits(content):
            raise RecordError("not a record", f"expected a record with `fields` and `responses`, came {short_repr(content)}")
        metadata = content.get("metadata") or {} if is_nested(content) else content
        for question, response in responses(content):
            excerpt = {"record": content.get("id"), "question": question, "metadata": question_keys(metadata), **response}
            try:
                yield Entry({**submission(metadata, response, words), "rater": rater(response)}, excerpt, undated=True)
            except RecordError as fault:
                yield Entry(excerpt=excerpt, fault=fault)


def is_nested(record: dict[str, Any]) -> bool:
    return isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict)


def responses(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(question, {"value", "user_id", "status"}); the status is missing where the export does not tell it."""
    if is_nested(record):
        for question, answers in record["responses"].items():
            for response in answers or ():
                yield question, response if isinstance(response, dict) else {"value": response}
        return
    for name in record:
        if name.endswith(RESPONSES):
            values = record[name] or []
            users, states = (record.get(f"{name}.{part}") or [None] * len(values) for part in ("users", "status"))
            for value, user, state in zip_longest(values, users, states):
                found = {"value": value, "user_id": user, "status": state}
                yield name.removesuffix(RESPONSES), {key: part for key, part in found.items() if part is not None}


def submission(metadata: dict[str, Any], response: dict[str, Any], words: AnswerWords) -> dict[str, Any]:
    status = response.get("status", SUBMITTED)
    if status != SUBMITTED:
        raise RecordError("not submitted", f"the response is {short_repr(status)}")
    return event_fields(metadata, response.get("value"), words)


def rater(response: dict[str, Any]) -> str:
    user = response.get("user_id")
    if not isinstance(user, str) or not user:
        raise RecordError("no rater", f"user_id: expected a user's id, came {short_repr(user)}")
    return f"argilla:{user}"
