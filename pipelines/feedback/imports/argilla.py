"""Argilla's records: `records.to_json` of version 2, the flat rows that its `records.to_datasets` gives, and the records of its
server and of version 1 (`FeedbackDataset`), where `responses` is a list.

What was shown is in the record's `metadata`, under the keys of exports.KEYS. Only records of a server have times.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from pipelines.feedback.events import RecordError, short_repr
from pipelines.feedback.imports.base import AnswerWords, Entry
from pipelines.feedback.imports.exports import Export, event_fields, question_keys
from pipelines.feedback.imports.json_text import JsonLines, JsonValues
from pipelines.feedback.imports.parquet import ParquetRows

SUGGESTION = ".suggestion"
RESPONSES = ".responses"  # how the columns of flat rows end that hold answers; `.users` and `.status` belong to them
SUBMITTED = "submitted"
TIMES = ("updated_at", "inserted_at")  # of a response; the first that it has


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
            at = next((response[name] for name in TIMES if response.get(name)), None)
            try:
                fields = {**submission(metadata, response, words), "rater": rater(response), "at": utc(at)}
                yield Entry(fields, excerpt, undated=at is None)
            except RecordError as fault:
                yield Entry(excerpt=excerpt, fault=fault)

    def not_read(self, content: Any) -> Iterator[str]:
        if not isinstance(content, dict):
            return
        found = content.get("suggestions") if is_nested(content) else None
        flat = [name for name in content if name.endswith(SUGGESTION) and content[name] is not None]
        yield from ["suggestions"] * len(found if isinstance(found, list | dict) else flat)


def is_nested(record: dict[str, Any]) -> bool:
    return isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict | list)


def responses(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(question, {"value", "user_id", "status", …}); what the export does not tell is missing."""
    if is_nested(record) and isinstance(record["responses"], list):
        for response in record["responses"]:
            about = dict(response) if isinstance(response, dict) else {}
            values = about.pop("values", None) or {}
            for question, answer in values.items() if isinstance(values, dict) else ():
                yield question, {**about, "value": answer.get("value") if isinstance(answer, dict) else answer}
            if not values:
                yield "", about  # discarded, or pending
        return
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


def utc(at: Any) -> Any:
    """A time as the server sends it: in UTC, whether it says so or not."""
    if isinstance(at, str) and len(at) <= 40:
        try:
            found = datetime.fromisoformat(at)
        except ValueError:
            return at  # for the event to refuse
        return found.replace(tzinfo=found.tzinfo or UTC)
    return at


def rater(response: dict[str, Any]) -> str:
    user = response.get("user_id")
    if not isinstance(user, str) or not user:
        raise RecordError("no rater", f"user_id: expected a user's id, came {short_repr(user)}")
    return f"argilla:{user}"
