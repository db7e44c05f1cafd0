"""Argilla's records, version 2: `records.to_json`, and the flat rows that `records.to_datasets` gives.

What was shown is in the record's `metadata`, under the keys of answers.KEYS. An export has no times.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pipelines.feedback.events import Refused, brief
from pipelines.feedback.imports.exports.answers import Answered, Words, asked, judged

RESPONSES = ".responses"  # how the columns of flat rows end that hold answers; `.users` and `.status` belong to them
SUBMITTED = "submitted"


def fits(record: Any) -> bool:
    return isinstance(record, dict) and (nested(record) or flat(record))


def nested(record: dict[str, Any]) -> bool:
    return isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict)


def flat(record: dict[str, Any]) -> bool:
    return any(name.endswith(RESPONSES) for name in record)


def answers(record: Any, words: Words) -> Iterator[Answered]:
    if not fits(record):
        raise Refused("not a record", f"expected a record with `fields` and `responses`, came {brief.repr(record)}")
    metadata = record.get("metadata") or {} if nested(record) else record
    for question, response in responses(record):
        shown = {"record": record.get("id"), "question": question, "metadata": asked(metadata), **response}
        try:
            yield Answered(shown, {**submitted(metadata, response, words), "rater": rater(response)})
        except Refused as fault:
            yield Answered(shown, fault=fault)


def responses(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(question, {"value", "user_id", "status"}); the status is missing where the export does not tell it."""
    if nested(record):
        for question, given in record["responses"].items():
            for response in given or ():
                yield question, response if isinstance(response, dict) else {"value": response}
        return
    for name in record:
        if name.endswith(RESPONSES):
            values = record[name] or []
            users, states = (record.get(f"{name}.{part}") or [None] * len(values) for part in ("users", "status"))
            for value, user, state in zip_longest(values, users, states):
                found = {"value": value, "user_id": user, "status": state}
                yield name.removesuffix(RESPONSES), {key: part for key, part in found.items() if part is not None}


def submitted(metadata: dict[str, Any], response: dict[str, Any], words: Words) -> dict[str, Any]:
    status = response.get("status", SUBMITTED)
    if status != SUBMITTED:
        raise Refused("not submitted", f"the response is {brief.repr(status)}")
    return judged(metadata, response.get("value"), words)


def rater(response: dict[str, Any]) -> str:
    user = response.get("user_id")
    if not isinstance(user, str) or not user:
        raise Refused("no rater", f"user_id: expected a user's id, came {brief.repr(user)}")
    return f"argilla:{user}"
