"""Label Studio's JSON export (`JSON`, not `JSON_MIN`): tasks with annotations with results.

What was shown is in the task's `data`, under the keys of exports.KEYS. Before version 1.0 annotations were called completions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipelines.feedback.events import RecordError, short_repr
from pipelines.feedback.imports.base import AnswerWords, Entry
from pipelines.feedback.imports.exports import Export, event_fields, question_keys
from pipelines.feedback.imports.json_text import JsonLines, JsonValues

ANSWERS = {"choices": "choices", "pairwise": "selected", "rating": "rating"}  # type of a result -> where its value is
REGION = {"x", "y", "points", "rle", "start"}  # keys of a value that is about a part of what was shown
NOT_READ = ("predictions", "drafts")  # of a model, and what nobody has submitted


class LabelStudio(Export):
    containers = (JsonLines(), JsonValues())
    tool = "Label Studio"

    def fits(self, content: Any) -> bool:
        return isinstance(content, dict) and isinstance(content.get("data"), dict) and task_annotations(content) is not None

    def entries(self, content: Any, words: AnswerWords) -> Iterator[Entry]:
        if not self.fits(content):
            raise RecordError("not a task", f"expected a task with `data` and `annotations`, came {short_repr(content)}")
        for annotation in task_annotations(content) or ():
            if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
                fault = RecordError("not an annotation", short_repr(annotation))
                yield Entry(excerpt={"task": content.get("id")}, fault=fault)
                continue
            excerpt = {"task": content.get("id"), "annotation": annotation.get("id"), "data": question_keys(content["data"])}
            if annotation.get("was_cancelled") or annotation.get("skipped"):
                yield Entry(excerpt=excerpt, fault=RecordError("skipped by its rater", "was_cancelled is set"))
            elif not annotation["result"]:
                yield Entry(excerpt=excerpt, fault=RecordError("no answer", "the annotation has no result"))
            else:
                yield from results(content["data"], annotation, excerpt, words)

    def not_read(self, content: Any) -> Iterator[str]:
        for name in NOT_READ if isinstance(content, dict) else ():
            found = content.get(name)
            yield from [name] * len(found) if isinstance(found, list) else ()


def task_annotations(task: dict[str, Any]) -> list[Any] | None:
    """The annotations of a task; None where it is no task with annotations."""
    found = task["annotations"] if "annotations" in task else task.get("completions")
    return found if isinstance(found, list) else None


def results(data: dict[str, Any], annotation: dict[str, Any], excerpt: dict[str, Any], words: AnswerWords) -> list[Entry]:
    """The answers of an annotation, which is about one thing, so they must not contradict each other."""
    found = []
    at = timestamp(annotation)
    for result in annotation["result"]:
        entry = Entry(excerpt={**excerpt, "result": result}, undated=at is None)
        try:
            fields = event_fields(data, answer(result), words)
            found.append(replace(entry, content={**fields, "rater": rater(annotation), "at": at}))
        except RecordError as fault:
            found.append(replace(entry, fault=fault))
    contents = [entry.content for entry in found if entry.content]
    if any(other != contents[0] for other in contents):
        several = RecordError("ambiguous answer", f"the annotation says {len(contents)} things of what was shown")
        return [Entry(excerpt=entry.excerpt, fault=several) if entry.content else entry for entry in found]
    return found


def timestamp(annotation: dict[str, Any]) -> Any:
    """When the annotation was last changed; None where that is not said. Completions have seconds since 1970."""
    at: Any = annotation.get("updated_at") or annotation.get("created_at")
    try:
        return datetime.fromtimestamp(at, UTC) if type(at) in (int, float) else at
    except (ValueError, OverflowError, OSError):
        return at  # for the event to refuse


def answer(result: Any) -> Any:
    kind = result.get("type") if isinstance(result, dict) else None
    content = result.get("value") if isinstance(result, dict) else None
    if not isinstance(kind, str) or kind not in ANSWERS or not isinstance(content, dict):
        raise RecordError("no mapping", f"a result of type {short_repr(kind)}; mapped are {', '.join(ANSWERS)}")
    if REGION & set(content):
        raise RecordError("no mapping", "a result about a part of the image; mapped are answers about the whole image")
    found = content.get(ANSWERS[kind])
    if isinstance(found, list):
        if len(found) != 1:
            raise RecordError("ambiguous answer", f"expected one choice, came {short_repr(found)}")
        return found[0]
    return found


def rater(annotation: dict[str, Any]) -> str:
    """By number, never by name or address; `completed_by` is a number or a mapping with one."""
    user = annotation.get("completed_by")
    number = user.get("id") if isinstance(user, dict) else user
    if type(number) is not int:
        raise RecordError(
            "no rater",
            f"completed_by: expected a user's number, came {short_repr(user)}; if the export does not say who answered, "
            "write the answers as JSON lines with a `rater` (docs/feedback.md)",
        )
    return f"label-studio:{number}"
