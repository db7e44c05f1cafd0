"""What Label Studio and Argilla export, as events; and what can mean several things is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.project import Project
from pipelines.feedback.events import RecordError
from pipelines.feedback.imports.base import AnswerWords
from pipelines.feedback.imports.exports import event_fields
from tests.contracts import pictures, write_rows
from tests.feedback.calls import imported, lines, numbers, rejects, stored

pytestmark = pytest.mark.usefixtures("configured")

ROW = "ab" * 32
SAMPLE = {"version": 3, "seed": 17, "label": 5}
PAIR = {"left_version": 3, "left_seed": 1, "left_label": 5, "right_version": "3", "right_seed": "2"}
LEFT, RIGHT = {"version": 3, "seed": 1, "label": 5}, {"version": 3, "seed": 2}
AT = "2026-01-31T12:00:00.123456Z"


def result(kind: str, **value: Any) -> dict[str, Any]:
    return {"id": "Dx", "from_name": "judgement", "to_name": "image", "type": kind, "value": value, "origin": "manual"}


def annotation(*results: Any, **changes: Any) -> dict[str, Any]:
    about = {"id": 9, "completed_by": 4, "was_cancelled": False, "created_at": "2026-01-30T12:00:00Z", "updated_at": AT}
    return {**about, "ground_truth": False, "lead_time": 2.5, "result": list(results), **changes}


def task(data: dict[str, Any], *annotations: Any) -> dict[str, Any]:
    return {"id": 1, "project": 2, "data": {"image": "https://x/1.png", **data}, "annotations": list(annotations), "drafts": []}


def without_id(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key != "id"} for one in found]


def test_label_studio_s_answers_become_votes_choices_and_labels(configured: Project) -> None:
    like, dislike = result("choices", choices=["Like"]), result("choices", choices=["down"])
    tasks = [
        task(SAMPLE, annotation(like), annotation(dislike, completed_by={"id": 5, "email": "bob@example.org"})),
        task(PAIR, annotation(result("pairwise", selected="left"))),
        task(PAIR, annotation(result("choices", choices=["right"]), completed_by=5)),
        task({"row": ROW}, annotation(result("choices", choices=["7"]))),
    ]
    Path("f.json").write_text(json.dumps(tasks, indent=2))
    found = imported(configured, "f.json")
    assert found["format"] == "label-studio"
    assert numbers(found) == (5, 0, 0)
    ann, bob = ({"rater": f"label-studio:{number}", "at": AT} for number in (4, 5))
    expected = [
        {"type": "vote", **ann, "sample": SAMPLE, "value": 1},
        {"type": "vote", **bob, "sample": SAMPLE, "value": -1},
        {"type": "choice", **ann, "winner": LEFT, "loser": RIGHT},
        {"type": "choice", **bob, "winner": RIGHT, "loser": LEFT},
        {"type": "label", **ann, "row": ROW, "label": 7},
    ]
    assert sorted(map(str, without_id(stored(configured)))) == sorted(map(str, expected))
    assert not any("bob@" in json.dumps(one) for one in stored(configured))
    # A later export has more of them.
    Path("g.json").write_text(json.dumps([*tasks, task(SAMPLE, annotation(like, completed_by=6))]))
    assert numbers(imported(configured, "g.json")) == (1, 5, 0)


def test_an_answer_that_was_changed_later_is_another_event(configured: Project) -> None:
    like, dislike = result("choices", choices=["like"]), result("choices", choices=["dislike"])
    Path("f.json").write_text(json.dumps([task(SAMPLE, annotation(like))]))
    imported(configured, "f.json")
    Path("f.json").write_text(json.dumps([task(SAMPLE, annotation(dislike, updated_at="2026-02-01T12:00:00Z"))]))
    assert numbers(imported(configured, "f.json")) == (1, 0, 0)
    assert [one["value"] for one in stored(configured)] == [1, -1]


def test_what_label_studio_exports_beside_is_refused_with_the_task(configured: Project) -> None:
    like = result("choices", choices=["like"])
    tasks = [
        task(SAMPLE, annotation(like, was_cancelled=True)),
        task(SAMPLE, annotation()),
        task(SAMPLE),
        task(SAMPLE, annotation(result("rectanglelabels", rectanglelabels=["cat"], x=1))),
        task(SAMPLE, annotation(result("choices", choices=["like", "dislike"]))),
        task(SAMPLE, annotation(result("choices", choices=[["a", "b"]]))),
        task(SAMPLE, annotation(result("rating", rating=4))),
        task(SAMPLE, annotation(like, completed_by=None)),
        task(SAMPLE, annotation(like, completed_by={"email": "ann@example.org"})),
        task(SAMPLE, annotation(like, created_at=None, updated_at="yesterday")),
        task({}, annotation(like)),
        task({**SAMPLE, "row": ROW}, annotation(like)),
        task(PAIR, annotation(like)),
        task(SAMPLE, "annotation"),
        task(SAMPLE, annotation("result")),
        {"id": 3},
        task({"row": ROW}, annotation(result("choices", choices=["3"]), result("choices", choices=["4"]))),
        task(SAMPLE, annotation(like, like, completed_by=8)),
    ]
    Path("f.json").write_text(json.dumps(tasks))
    assert numbers(imported(configured, "f.json", "--format", "label-studio")) == (1, 1, 18)
    assert [(one["line"], one["reason"]) for one in rejects("f.json")] == [
        (1, "skipped by its rater"),
        (2, "no answer"),
        (3, "no answer"),
        (4, "no mapping"),
        (5, "ambiguous answer"),
        (6, "ambiguous answer"),
        (7, "ambiguous answer"),
        (8, "no rater"),
        (9, "no rater"),
        (10, "wrong value"),
        (11, "not said what was shown"),
        (12, "not said what was shown"),
        (13, "ambiguous answer"),
        (14, "not an annotation"),
        (15, "no mapping"),
        (16, "not a task"),
        (17, "ambiguous answer"),
        (17, "ambiguous answer"),
    ]
    assert rejects("f.json")[6]["record"]["data"] == SAMPLE
    assert rejects("f.json")[6]["record"]["annotation"] == 9


def test_stars_are_a_like_when_the_user_says_which(configured: Project) -> None:
    tasks = [task({**SAMPLE, "seed": stars}, annotation(result("rating", rating=stars))) for stars in range(1, 6)]
    Path("f.json").write_text(json.dumps(tasks))
    assert numbers(imported(configured, "f.json", "--like", "4, 5", "--dislike", "1,2")) == (4, 0, 1)
    assert {one["sample"]["seed"]: one["value"] for one in stored(configured)} == {1: -1, 2: -1, 4: 1, 5: 1}
    assert "3 is neither; a like is 4, 5, a dislike 1, 2" in rejects("f.json")[0]["detail"]


def test_label_studio_s_completions_are_annotations(configured: Project) -> None:
    """Before version 1.0; times are seconds since 1970, and often nobody is named."""

    def completion(answer: str, **changes: Any) -> dict[str, Any]:
        about = {"id": 1001, "lead_time": 4.2, "created_at": 1769860800, "result": [result("choices", choices=[answer])]}
        return {**about, "completed_by": 4, **changes}

    completions = [
        completion("like"),
        completion("dislike", completed_by={"id": 5, "email": "bob@example.org"}, created_at=1769860801.5),
        completion("like", skipped=True),
        completion("like", completed_by=None),
        completion("like", completed_by=6, created_at=1e300),
    ]
    Path("f.json").write_text(json.dumps([{"id": 1, "data": SAMPLE, "completions": completions, "predictions": []}]))
    found = imported(configured, "f.json")
    assert (found["format"], numbers(found)) == ("label-studio", (2, 0, 3))
    assert without_id(stored(configured)) == [
        {"type": "vote", "rater": "label-studio:4", "at": "2026-01-31T12:00:00Z", "sample": SAMPLE, "value": 1},
        {"type": "vote", "rater": "label-studio:5", "at": "2026-01-31T12:00:01.500000Z", "sample": SAMPLE, "value": -1},
    ]
    assert [one["reason"] for one in rejects("f.json")] == ["skipped by its rater", "no rater", "wrong type"]
    assert "write the answers as JSON lines with a `rater`" in rejects("f.json")[1]["detail"]


def test_what_is_no_answer_of_a_person_is_counted_by_its_name(configured: Project) -> None:
    like = result("choices", choices=["like"])
    model = {"model_version": "m", "score": 0.9, "result": [like]}
    tasks = [{**task(SAMPLE, annotation(like)), "predictions": [model, model], "drafts": [{"result": [like]}]}, task(SAMPLE)]
    Path("f.json").write_text(json.dumps(tasks))
    found = imported(configured, "f.json")
    assert numbers(found) == (1, 0, 1)
    assert found["notes"] == ["not read: predictions (2), drafts (1); only what people have submitted is an answer"]
    records = [argilla(SAMPLE, {"judgement": [{"value": "like", "user_id": "u1"}]})]
    Path("f.json").write_text(json.dumps(records))
    assert imported(configured, "f.json")["notes"][-1].startswith("not read: suggestions (1); ")
    flat = {**SAMPLE, "q.responses": ["like"], "q.responses.users": ["u1"], "q.responses.status": None, "q.suggestion": "like"}
    Path("f.jsonl").write_text(lines(flat, {**flat, "q.suggestion": None}))
    assert imported(configured, "f.jsonl")["notes"][-1].startswith("not read: suggestions (1); ")


def test_boxes_beside_an_answer_are_rejected_and_the_answer_is_stored(configured: Project) -> None:
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    results = [
        result("choices", choices=["like"]),
        result("rectanglelabels", rectanglelabels=["cat"], **box),
        result("choices", choices=["dislike"], **box),  # of a region
        result("textarea", text=["nice"]),
    ]
    Path("f.json").write_text(json.dumps([task(SAMPLE, annotation(*results))]))
    assert numbers(imported(configured, "f.json")) == (1, 0, 3)
    assert [one["value"] for one in stored(configured)] == [1]
    assert [one["reason"] for one in rejects("f.json")] == ["no mapping"] * 3
    assert "about a part of the image" in rejects("f.json")[1]["detail"]


def argilla(metadata: dict[str, Any], responses: dict[str, Any]) -> dict[str, Any]:
    about = {"id": "r1", "_server_id": "b2", "fields": {"image": "https://x/1.png"}, "metadata": metadata}
    return {
        **about,
        "suggestions": {"judgement": {"value": "like", "score": None, "agent": "m"}},
        "responses": responses,
        "vectors": {},
    }


def test_argilla_s_records_become_events_of_the_time_that_the_file_was_written(configured: Project) -> None:
    ranking = [{"value": "right", "rank": 1}, {"value": "left", "rank": 2}]
    records = [
        argilla(SAMPLE, {"judgement": [{"value": "like", "user_id": "u1"}, {"value": "bad", "user_id": "u2"}]}),
        argilla(PAIR, {"better": [{"value": "left", "user_id": "u1"}, {"value": ranking, "user_id": "u2"}]}),
        argilla({"row": ROW}, {"class": [{"value": 7, "user_id": "u1", "status": "submitted"}]}),
        argilla(SAMPLE, {"judgement": [{"value": "like", "user_id": "u3", "status": "draft"}]}),
        argilla(SAMPLE, {"judgement": [{"value": "like", "user_id": None}]}),
        argilla(SAMPLE, {}),
        argilla(PAIR, {"better": [{"value": [{"value": "left", "rank": 1}, {"value": "right", "rank": 1}], "user_id": "u1"}]}),
    ]
    Path("f.json").write_text(json.dumps(records))
    found = imported(configured, "f.json", "--at", "2026-01-31T13:00:00+01:00")
    assert found["format"] == "argilla"
    assert numbers(found) == (5, 0, 4)
    assert [one["reason"] for one in rejects("f.json")] == ["not submitted", "no rater", "no answer", "ambiguous answer"]
    ann, bob = ({"rater": f"argilla:{name}", "at": "2026-01-31T12:00:00Z"} for name in ("u1", "u2"))
    expected = [
        {"type": "vote", **ann, "sample": SAMPLE, "value": 1},
        {"type": "vote", **bob, "sample": SAMPLE, "value": -1},
        {"type": "choice", **ann, "winner": LEFT, "loser": RIGHT},
        {"type": "choice", **bob, "winner": RIGHT, "loser": LEFT},
        {"type": "label", **ann, "row": ROW, "label": 7},
    ]
    assert sorted(map(str, without_id(stored(configured)))) == sorted(map(str, expected))
    # Exported again, at another time: the same answers.
    Path("f.json").write_text(json.dumps(records))
    assert numbers(imported(configured, "f.json")) == (0, 5, 4)


def test_argilla_s_flat_rows_say_the_same(configured: Project) -> None:
    nested = [
        argilla(SAMPLE, {"judgement": [{"value": "like", "user_id": "u1"}]}),
        argilla({**SAMPLE, "seed": 1}, {"judgement": [{"value": "dislike", "user_id": "u1"}]}),
    ]
    rows = [
        {
            "id": "r1",
            "image": "https://x/1.png",
            **SAMPLE,
            "judgement.responses": ["like", "like"],
            "judgement.responses.users": ["u1", "u2"],
            "judgement.responses.status": ["submitted", "discarded"],
            "judgement.suggestion": "like",
        },
        {
            "id": "r2",
            "image": "https://x/2.png",
            **SAMPLE,
            "seed": 1,
            "judgement.responses": ["dislike", "like"],
            "judgement.responses.users": ["u1"],
            "judgement.responses.status": None,
            "judgement.suggestion": None,
        },
    ]
    Path("f.json").write_text(json.dumps(nested))
    Path("f.jsonl").write_text(lines(*rows))
    pq.write_table(pa.Table.from_pylist(rows), "f.parquet")
    assert numbers(imported(configured, "f.json")) == (2, 0, 0)
    for name in ("f.jsonl", "f.parquet"):
        found = imported(configured, name)
        assert found["format"] == "argilla"
        assert numbers(found) == (0, 2, 2)
        assert [one["reason"] for one in rejects(name)] == ["not submitted", "no rater"]


def test_records_of_argilla_1_and_of_a_server_say_the_same(configured: Project) -> None:
    """`responses` is a list there, with the answers to all questions in each."""

    def record(metadata: dict[str, Any], *responses: dict[str, Any]) -> dict[str, Any]:
        about = {"fields": {"image": "x"}, "metadata": metadata, "external_id": "e", "suggestions": []}
        return {**about, "responses": list(responses)}

    def response(user: str | None, status: str = "submitted", **values: Any) -> dict[str, Any]:
        answers = {question: {"value": value} for question, value in values.items()}
        return {"user_id": user, "status": status, "values": answers or None}

    records = [
        record(SAMPLE, response("u1", judgement="like", comment="nice"), response("u2", judgement="bad")),
        record(PAIR, response("u1", better="left")),
        record({"row": ROW}, response("u1", kind=7)),
        record(
            SAMPLE, response("u3", "discarded"), response("u4", "draft", judgement="like"), response(None, judgement="like")
        ),
        record(SAMPLE),
    ]
    Path("f.json").write_text(json.dumps(records))
    Path("f.jsonl").write_text(lines(*records))
    found = imported(configured, "f.json", "--at", AT)
    assert (found["format"], numbers(found)) == ("argilla", (4, 0, 5))
    reasons = ["ambiguous answer", "not submitted", "not submitted", "no rater", "no answer"]
    assert [one["reason"] for one in rejects("f.json")] == reasons
    ann, bob = ({"rater": f"argilla:{name}", "at": AT} for name in ("u1", "u2"))
    expected = [
        {"type": "vote", **ann, "sample": SAMPLE, "value": 1},
        {"type": "vote", **bob, "sample": SAMPLE, "value": -1},
        {"type": "choice", **ann, "winner": LEFT, "loser": RIGHT},
        {"type": "label", **ann, "row": ROW, "label": 7},
    ]
    assert sorted(map(str, without_id(stored(configured)))) == sorted(map(str, expected))
    assert numbers(imported(configured, "f.jsonl")) == (0, 4, 5)


def test_a_prompt_tells_a_sample_where_no_label_does() -> None:
    fox = {"version": 3, "seed": "17", "prompt": "42"}
    assert event_fields(fox, "like", AnswerWords())["sample"] == {"version": 3, "seed": 17, "prompt": "42"}
    beside = {**SAMPLE, "prompt": "a photo of a 5"}  # the tool's own
    assert event_fields(beside, "like", AnswerWords())["sample"] == SAMPLE
    pair = {**PAIR, "left_prompt": "beside its label", "right_prompt": "a boat"}
    assert event_fields(pair, "right", AnswerWords())["winner"] == {"version": 3, "seed": 2, "prompt": "a boat"}


def test_classes_are_named_as_in_the_project_s_data(configured: Project) -> None:
    write_rows(configured.clean, pictures(2, 8, 1), [0, 1], classes=["cat", "1"])
    names = ["cat", "1", "0", "2", "dog"]
    tasks = [task({"row": ROW}, annotation(result("choices", choices=[name]), completed_by=n)) for n, name in enumerate(names)]
    Path("f.json").write_text(json.dumps(tasks))
    assert numbers(imported(configured, "f.json")) == (3, 0, 2)
    assert sorted((one["rater"][-1], one["label"]) for one in stored(configured)) == [("0", 0), ("1", 1), ("2", 0)]
    assert rejects("f.json")[1]["detail"] == "'dog'; classes: cat, 1"


@pytest.mark.parametrize("answer", [None, "", "perhaps", 1, 1.0, True, ["like"], {"value": "like"}, "like,dislike"])
def test_what_can_mean_several_things_is_no_vote(answer: Any) -> None:
    with pytest.raises(RecordError, match="ambiguous answer"):
        event_fields(SAMPLE, answer, AnswerWords())


@pytest.mark.parametrize(
    "answer", [None, "both", "like", [], [{"value": "left", "rank": 1}], [{"value": "left"}, {"value": "right"}]]
)
def test_what_can_mean_several_things_is_no_choice(answer: Any) -> None:
    with pytest.raises(RecordError, match="ambiguous answer"):
        event_fields(PAIR, answer, AnswerWords())


def test_an_incomplete_pair_is_refused_by_the_event(configured: Project) -> None:
    Path("f.json").write_text(
        json.dumps([task({"left_version": 1, "left_seed": 2}, annotation(result("pairwise", selected="left")))])
    )
    imported(configured, "f.json", code=2)
    assert rejects("f.json")[0]["reason"] in ("wrong type", "missing key")
