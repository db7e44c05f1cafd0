"""Label Studio's JSON export (`JSON`, not `JSON_MIN`): tasks with annotations with results.

What was shown is in the task's `data`, under the keys of answers.KEYS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.feedback.events import Refused, brief
from pipelines.feedback.imports.exports.answers import Answered, Words, asked, judged

ANSWERS = {"choices": "choices", "pairwise": "selected", "rating": "rating"}  # type of a result -> where its value is


def fits(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list)


def answers(task: Any, words: Words) -> Iterator[Answered]:
    if not fits(task):
        raise Refused("not a task", f"expected a task with `data` and `annotations`, came {brief.repr(task)}")
    for annotation in task["annotations"]:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            yield Answered({"task": task.get("id")}, fault=Refused("not an annotation", brief.repr(annotation)))
            continue
        shown = {"task": task.get("id"), "annotation": annotation.get("id"), "data": asked(task["data"])}
        if annotation.get("was_cancelled"):
            yield Answered(shown, fault=Refused("skipped by its rater", "was_cancelled is set"))
        elif not annotation["result"]:
            yield Answered(shown, fault=Refused("no answer", "the annotation has no result"))
        else:
            yield from results(task["data"], annotation, shown, words)


def results(data: dict[str, Any], annotation: dict[str, Any], shown: dict[str, Any], words: Words) -> Iterator[Answered]:
    """An annotation is about one thing, so its answers must not contradict each other."""
    found = []
    for result in annotation["result"]:
        whole = {**shown, "result": result}
        try:
            said = judged(data, answer(result), words)
            found.append(Answered(whole, {**said, "rater": rater(annotation), "at": at(annotation)}))
        except Refused as fault:
            found.append(Answered(whole, fault=fault))
    records = [one.record for one in found if one.record]
    if any(other != records[0] for other in records):
        several = Refused("ambiguous answer", f"the annotation says {len(records)} things of what was shown")
        found = [Answered(one.shown, fault=several) if one.record else one for one in found]
    yield from found


def answer(result: Any) -> Any:
    kind = result.get("type") if isinstance(result, dict) else None
    content = result.get("value") if isinstance(result, dict) else None
    if not isinstance(kind, str) or kind not in ANSWERS or not isinstance(content, dict):
        raise Refused("no mapping", f"a result of type {brief.repr(kind)}; mapped are {', '.join(ANSWERS)}")
    found = content.get(ANSWERS[kind])
    if isinstance(found, list):
        if len(found) != 1:
            raise Refused("ambiguous answer", f"expected one choice, came {brief.repr(found)}")
        return found[0]
    return found


def rater(annotation: dict[str, Any]) -> str:
    """By number, never by name or address; `completed_by` is a number or a mapping with one."""
    who = annotation.get("completed_by")
    number = who.get("id") if isinstance(who, dict) else who
    if type(number) is not int:
        raise Refused("no rater", f"completed_by: expected a user's number, came {brief.repr(who)}")
    return f"label-studio:{number}"


def at(annotation: dict[str, Any]) -> Any:
    return annotation.get("updated_at") or annotation.get("created_at")
