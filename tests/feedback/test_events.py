"""Events: what is one, what is none, and what is said of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.feedback import events
from pipelines.feedback.events import RecordError, Sample, load, parse, to_json

SAMPLE = {"version": 3, "seed": 17, "label": 5}
OTHER = {"version": 3, "seed": 18, "label": 5}
ROW = "ab" * 32
SAID = {"id": "e-1", "rater": "ann@example.org", "at": "2026-01-31T12:00:00Z"}
EACH: dict[str, dict[str, Any]] = {
    "vote": {"sample": SAMPLE, "value": 1},
    "choice": {"winner": SAMPLE, "loser": OTHER},
    "upload": {"image": ROW, "label": 2},
    "label": {"row": ROW, "label": 2},
    "report": {"sample": SAMPLE, "reason": "a face"},
    "erase": {},
}
VOTE = {**SAID, "type": "vote", **EACH["vote"]}
LEAVE_OUT: Any = object()


def changed(record: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**record, **changes}.items() if value is not LEAVE_OUT}


def refused(record: Any) -> RecordError:
    with pytest.raises(RecordError) as found:
        parse(record)
    return found.value


@pytest.mark.parametrize("name", events.TYPES)
def test_each_type_survives_its_json_form(name: str) -> None:
    event = parse({**SAID, "type": name, **EACH[name]})
    assert type(event) is events.TYPES[name]
    assert load(to_json(event)) == event
    assert json.loads(to_json(event)) == {**SAID, "type": name, **EACH[name]}


def test_the_json_form_is_the_design_s() -> None:
    assert to_json(parse(VOTE)) == (
        '{"id":"e-1","type":"vote","rater":"ann@example.org","at":"2026-01-31T12:00:00Z",'
        '"sample":{"version":3,"seed":17,"label":5},"value":1}'
    )


def test_the_same_said_in_another_order_and_time_zone_is_the_same_text() -> None:
    other = changed(dict(reversed(VOTE.items())), {"at": "2026-01-31T14:00:00+02:00"})
    assert to_json(parse(other)) == to_json(parse(VOTE))


def test_labels_may_be_missing_where_the_model_knows_no_classes() -> None:
    event = parse(changed(VOTE, {"sample": {"version": 3, "seed": 17}}))
    assert '"sample":{"version":3,"seed":17}' in to_json(event)
    parse(changed({**SAID, "type": "upload", "image": ROW}, {}))


def test_a_sample_may_have_a_prompt_in_place_of_a_label() -> None:
    event = parse(changed(VOTE, {"sample": {"version": 3, "seed": 17, "prompt": "ein Fuchs, 狐狸 🦊 <b>"}}))
    assert '"sample":{"version":3,"seed":17,"prompt":"ein Fuchs, 狐狸 🦊 <b>"}' in to_json(event)
    assert load(to_json(event)) == event


def test_a_sample_without_a_prompt_is_stored_as_before_there_were_any() -> None:
    assert Sample(version=3, seed=17).model_dump() == {"version": 3, "seed": 17, "label": None}
    assert Sample(version=3, seed=17).model_dump_json() == '{"version":3,"seed":17,"label":null}'


def test_a_sample_is_another_one_by_another_prompt() -> None:
    samples = [
        Sample(version=3, seed=17),
        Sample(version=3, seed=17, label=0),
        Sample(version=3, seed=17, prompt="a fox"),
        Sample(version=3, seed=17, prompt="a Fox"),
    ]
    assert len(set(samples)) == len({sample.key for sample in samples}) == 4
    assert [Sample.of_key(*sample.key) for sample in samples] == samples
    assert Sample.of_key(3, 17, -1) == samples[0]
    assert sorted(samples, key=lambda sample: sample.key) == [samples[0], samples[3], samples[2], samples[1]]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "wrong value"),
        ("   ", "wrong value"),
        ("x" * 501, "wrong value"),
        ("a\nb", "wrong value"),
        ("a\tb", "wrong value"),
        ("a\0b", "wrong value"),
        ("a\x1b[31mb", "wrong value"),
        ("a\x85b", "wrong value"),
        ("a\u2028b", "wrong value"),
        ("a\ud800b", "wrong value"),
        (5, "wrong type"),
        (["a"], "wrong type"),
        ({"a": 1}, "wrong type"),
    ],
)
def test_a_prompt_is_a_line_of_text(prompt: Any, reason: str) -> None:
    fault = refused(changed(VOTE, {"sample": {"version": 3, "seed": 17, "prompt": prompt}}))
    assert fault.reason == reason or isinstance(prompt, str)
    assert "sample.prompt: " in fault.detail


def test_a_prompt_and_a_label_are_too_much() -> None:
    fault = refused(changed(VOTE, {"sample": {**SAMPLE, "prompt": "a fox"}}))
    assert (fault.reason, fault.detail[:58]) == ("wrong value", "sample: expected either a label or a prompt, came both (ca")


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"extra": 1}, "unknown key", "extra: no such key in vote; known: id, type, rater, at, sample, value"),
        ({"sample": {**SAMPLE, "sed": 1}}, "unknown key", "sample.sed: no such key in vote; known: version, seed, label"),
        ({"sample": LEAVE_OUT}, "missing key", "sample: this key is missing"),
        ({"rater": LEAVE_OUT}, "missing key", "rater: this key is missing"),
        ({"value": True}, "wrong type", "value: expected 1 or -1 (came True)"),
        ({"value": 1.0}, "wrong type", "(came 1.0)"),
        ({"value": "1"}, "wrong type", "(came '1')"),
        ({"value": float("nan")}, "wrong type", "(came nan)"),
        ({"value": 0}, "wrong value", "value: input should be 1 or -1 (came 0)"),
        ({"sample": {**SAMPLE, "version": True}}, "wrong type", "sample.version: "),
        ({"sample": {**SAMPLE, "version": 0}}, "wrong value", "sample.version: "),
        ({"sample": {**SAMPLE, "seed": -1}}, "wrong value", "sample.seed: "),
        ({"sample": {**SAMPLE, "seed": 2**31}}, "wrong value", "sample.seed: "),
        ({"sample": {**SAMPLE, "seed": 10**4000}}, "wrong value", "sample.seed: "),
        ({"sample": {**SAMPLE, "label": 100_000}}, "wrong value", "sample.label: "),
        ({"sample": [1]}, "wrong type", "sample: "),
        ({"id": ""}, "wrong value", "id: "),
        ({"id": 7}, "wrong type", "id: "),
        ({"id": "x" * 129}, "wrong value", "id: "),
        ({"id": "a b"}, "wrong value", "id: "),
        ({"id": "a\n"}, "wrong value", "id: "),
        ({"rater": "ann\0"}, "wrong value", "rater: "),
        ({"rater": "\ud800"}, "wrong value", "rater: "),
        ({"rater": "../ann"}, "wrong value", "rater: "),
        ({"type": "vot"}, "unknown type", "expected one of vote, choice, upload, label, report, erase; came 'vot'"),
        ({"type": ["vote"]}, "unknown type", "came ['vote']"),
        ({"type": LEAVE_OUT}, "unknown type", "came None"),
        ({"at": "2026-01-31T12:00:00"}, "wrong value", "at: no time zone"),
        ({"at": "2026-01-31"}, "wrong value", "at: no time zone"),
        ({"at": "yesterday"}, "wrong value", 'expected a date with a time zone, as "2026-01-31T12:00:00Z" (came'),
        ({"at": 1769860800}, "wrong type", "at: "),
        ({"at": "1970-01-01T00:00:00Z"}, "wrong value", "at: expected a date between 2000 and now"),
        ({"at": "0001-01-01T00:00:00+23:59"}, "wrong value", "at: expected a date between 2000 and now"),
        ({"at": "9999-12-31T23:59:59-23:59"}, "wrong value", "at: expected a date between 2000 and now"),
        ({"at": "9999-12-31T23:59:59Z"}, "wrong value", "at: expected a date that is not in the future"),
        ({"at": "2026-01-31T12:00:00Z" + " " * 50}, "wrong type", "at: "),
    ],
)
def test_what_is_none_is_refused_with_what_came_and_what_was_expected(changes: dict[str, Any], reason: str, words: str) -> None:
    fault = refused(changed(VOTE, changes))
    assert fault.reason == reason
    assert words in fault.detail
    assert len(fault.detail) < 400


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"type": "choice", "winner": SAMPLE, "loser": SAMPLE}, "expected two samples, came the same one twice"),
        ({"type": "report", "reason": "?"}, "expected either a sample or a row"),
        ({"type": "report", "sample": SAMPLE, "row": ROW, "reason": "?"}, "expected either a sample or a row"),
        ({"type": "report", "row": ROW, "reason": "x" * 1001}, "reason: "),
        ({"type": "report", "row": ROW, "reason": "a\0b"}, "reason: "),
        ({"type": "report", "row": ROW, "reason": "\udfff"}, "reason: "),
        ({"type": "label", "row": "AB" * 32, "label": 1}, "row: "),
        ({"type": "label", "row": ROW}, "label: this key is missing"),
        ({"type": "upload", "image": "a.png"}, "image: "),
        ({"type": "erase", "value": 1}, "value: no such key in erase"),
    ],
)
def test_each_type_has_its_own_rules(record: dict[str, Any], words: str) -> None:
    assert words in refused({**SAID, **record}).detail


@pytest.mark.parametrize("record", [None, [], "vote", 1, float("nan")])
def test_what_is_no_mapping_is_refused(record: Any) -> None:
    assert refused(record).reason == "not a record"


def test_what_is_nested_very_deep_is_refused_in_few_words() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert len(refused(changed(VOTE, {"value": deep})).detail) < 400


def test_a_client_s_clock_may_be_a_little_ahead() -> None:
    now = datetime(2026, 1, 30, 13, tzinfo=UTC)
    assert parse(VOTE, now).at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    with pytest.raises(RecordError, match="future"):
        parse(VOTE, now - timedelta(hours=2))


def test_an_event_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(VOTE).rater = "bob"


@given(
    moment=st.datetimes(datetime(2001, 1, 1), datetime(2025, 1, 1)),
    offset=st.integers(-14 * 60, 14 * 60),
    label=st.none() | st.integers(0, 99_999),
    reason=st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=50),
)
def test_any_event_survives_its_json_form(moment: datetime, offset: int, label: int | None, reason: str) -> None:
    sample = {"version": 1, "seed": 0, "label": label}
    at = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    event = parse({**SAID, "at": at.isoformat(), "type": "report", "sample": sample, "reason": reason})
    assert load(to_json(event)) == event
    assert parse(json.loads(to_json(event))) == event
    assert event.at == at
