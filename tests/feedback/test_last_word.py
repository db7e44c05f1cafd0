"""The last answer of a rater about a thing counts, whatever export it comes from, and however often it was changed back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.project import Project
from pipelines.curation.credibility import weigh_choices
from pipelines.feedback.events import Choice, Event, Label, Sample, Vote, parse
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore
from tests.conftest import REPOSITORY, MakeParams
from tests.curation.data import Curation
from tests.feedback.calls import call, imported, lines, numbers, rejects, stored

SAMPLE = {"version": 3, "seed": 17, "label": 5}
PAIR = {"left_version": 3, "left_seed": 1, "right_version": 3, "right_seed": 2}
ROW = "ab" * 32
DAYS = [f"2026-01-{day:02}T12:00:00Z" for day in range(1, 29)]
ANN = "argilla:u1"


def argilla(answer: Any, about: dict[str, Any] = SAMPLE, user: str = "u1") -> dict[str, Any]:
    return {"id": "r", "fields": {}, "metadata": about, "responses": {"question": [{"value": answer, "user_id": user}]}}


def task(answer: Any, updated: str | None, about: dict[str, Any] = SAMPLE, user: int = 4, **changes: Any) -> dict[str, Any]:
    result = {"type": "choices", "value": {"choices": [answer]}}
    annotation = {"id": 9, "completed_by": user, "created_at": updated and DAYS[0], "updated_at": updated, "result": [result]}
    return {"id": 1, "data": about, "annotations": [{**annotation, **changes}]}


def export(project: Project, *records: Any, at: str | None = None, name: str = "export.json") -> tuple[int, int, int]:
    """Import these records; how many were stored, known and rejected."""
    Path(name).write_text(json.dumps(records))
    options = ("--at", at) if at else ()
    return numbers(imported(project, name, *options, code=0))


def history(project: Project) -> list[tuple[str, Any]]:
    """Time and answer of each stored event, in the order in which they count."""
    answers = {"vote": lambda one: one["value"], "label": lambda one: one["label"], "choice": lambda one: one["winner"]["seed"]}
    return [(one["at"], answers[one["type"]](one)) for one in stored(project)]


def last_words(project: Project) -> dict[tuple[str, Any], Any]:
    """(rater, sample, pair or row) -> the answer that `curate` counts."""
    events: list[Event] = [parse(one) for one in stored(project)]
    found: dict[tuple[str, Any], Any] = {}
    for event in events:
        if isinstance(event, Vote):
            found[event.rater, event.sample.seed] = event.value
        elif isinstance(event, Label):
            found[event.rater, event.row] = event.label
    choices = [event for event in events if isinstance(event, Choice)]
    counted, _ = weigh_choices(choices, dict.fromkeys((choice.rater for choice in choices), 1.0), 1.0)
    return found | {(choice.rater, "pair"): choice.winner.seed for choice, _ in counted}


@pytest.mark.parametrize(
    ("about", "answers", "words"),
    [
        (SAMPLE, ["like", "dislike", "like"], [1, -1, 1]),
        (SAMPLE, ["bad", "good", "bad", "good"], [-1, 1, -1, 1]),
        (PAIR, ["left", "right", "left"], [1, 2, 1]),
        ({"row": ROW}, ["7", "3", "7"], [7, 3, 7]),
        ({"row": ROW}, ["7", "3", "4", "3"], [7, 3, 4, 3]),
    ],
)
def test_an_answer_that_changed_back_is_a_new_event_though_the_export_has_no_times(
    configured: Project, about: dict[str, Any], answers: list[str], words: list[int]
) -> None:
    for number, answer in enumerate(answers):
        Path(f"{number}.json").write_text(json.dumps([argilla(answer, about)]))
        assert numbers(imported(configured, f"{number}.json")) == (1, 0, 0)
    assert [word for _, word in history(configured)] == words
    assert list(last_words(configured).values()) == [words[-1]]
    last = f"{len(answers) - 1}.json"
    assert numbers(imported(configured, last)) == (0, 1, 0)
    Path("again.json").write_text(Path(last).read_text())
    assert numbers(imported(configured, "again.json")) == (0, 1, 0)


@pytest.mark.parametrize("at", [DAYS[3], None])
def test_exports_of_one_time_count_in_the_order_in_which_they_are_imported(configured: Project, at: str | None) -> None:
    for name in "abc":
        Path(f"{name}.json").write_text(json.dumps([argilla("dislike" if name == "b" else "like")]))
        os.utime(f"{name}.json", (1.7e9, 1.7e9))
    options = ("--at", at) if at else ()
    for name in "abc":
        assert numbers(imported(configured, f"{name}.json", *options)) == (1, 0, 0)
        assert numbers(imported(configured, f"{name}.json", *options)) == (0, 1, 0)
    assert [value for _, value in history(configured)] == [1, -1, 1]
    assert last_words(configured) == {(ANN, 17): 1}


def test_an_older_export_adds_history_and_does_not_have_the_last_word(configured: Project) -> None:
    assert export(configured, argilla("dislike"), at=DAYS[9]) == (1, 0, 0)
    assert export(configured, argilla("like"), at=DAYS[4]) == (1, 0, 0)
    assert history(configured) == [(DAYS[4], 1), (DAYS[9], -1)]
    for at, answer in ((DAYS[4], "like"), (DAYS[6], "like"), (DAYS[7], "dislike"), (DAYS[2], "like"), (DAYS[12], "dislike")):
        assert export(configured, argilla(answer), at=at) == (0, 1, 0)
    assert last_words(configured) == {(ANN, 17): -1}
    assert export(configured, argilla("like"), at=DAYS[12]) == (1, 0, 0)
    assert last_words(configured) == {(ANN, 17): 1}


def test_what_an_export_without_times_cannot_tell_is_said(configured: Project) -> None:
    export(configured, argilla("dislike"), argilla("like", {**SAMPLE, "seed": 1}), at=DAYS[9])
    out = call(configured, "export.json", "--at", DAYS[4]).out
    assert "answers without a time in this file: 2; they count as given on 2026-01-05 12:00 UTC, as --at says. " in out
    assert "changed back between two exports is not seen; import exports oldest first" in out
    assert "differ from later" not in out
    Path("export.json").write_text(json.dumps([argilla("like"), argilla("like", {**SAMPLE, "seed": 1})]))
    assert (
        "answers that differ from later ones of their raters, which count: 1"
        in call(configured, "export.json", "--at", DAYS[4]).out
    )
    assert "when it was written (--at names another time)" in call(configured, "export.json").out
    Path("f.jsonl").write_text(lines({"type": "erase", "rater": "bob", "at": DAYS[0]}))
    assert imported(configured, "f.jsonl")["notes"] == []


def test_answers_that_contradict_each_other_in_one_export_without_times_are_rejected_but_the_first(configured: Project) -> None:
    records = [argilla("like"), argilla("dislike"), argilla("like"), argilla("dislike", user="u2")]
    for _ in range(2):
        export(configured, *records, at=DAYS[3])
        assert [(one["line"], one["reason"]) for one in rejects("export.json")] == [(2, "ambiguous answer")]
        assert "record 1 has another answer of this rater" in rejects("export.json")[0]["detail"]
        assert last_words(configured) == {(ANN, 17): 1, ("argilla:u2", 17): -1}
        assert len(stored(configured)) == 2


def test_answers_that_only_a_fold_has_are_known(configured: Project) -> None:
    """As in a clone, whose database never had them."""
    export(configured, argilla("like"), at=DAYS[0])
    export(configured, argilla("dislike"), at=DAYS[1])
    with EventStore.open(configured.database_url) as store:
        seal.fold(store, configured.feedback)
    clone = configured.with_variables({"GENLOOP_DATABASE_URL": f"sqlite:///{configured.root}/clone.db"})
    assert export(clone, argilla("dislike"), at=DAYS[5]) == (1, 0, 0)  # to its database it is new, with the id of the fold
    assert stored(clone)[0] in stored(configured)
    assert export(clone, argilla("like"), at=DAYS[6]) == (1, 0, 0)
    assert history(clone) == [(DAYS[1], -1), (DAYS[6], 1)]


def test_events_of_before_ids_had_the_time_are_known(configured: Project) -> None:
    """Their ids were made of all but the time."""
    event = parse({"id": "import-old", "type": "vote", "rater": ANN, "at": DAYS[0], "sample": SAMPLE, "value": 1})
    with EventStore.open(configured.database_url) as store:
        store.add([event])
    assert export(configured, argilla("like"), at=DAYS[3]) == (0, 1, 0)
    assert export(configured, argilla("dislike"), at=DAYS[4]) == (1, 0, 0)
    assert export(configured, argilla("like"), at=DAYS[5]) == (1, 0, 0)
    assert history(configured) == [(DAYS[0], 1), (DAYS[4], -1), (DAYS[5], 1)]


def test_two_imports_at_once_of_an_export_without_times_store_each_change_once(configured: Project) -> None:
    seeds = range(1500)
    export(configured, *(argilla("like", {**SAMPLE, "seed": seed}) for seed in seeds), at=DAYS[0])
    export(configured, *(argilla("dislike", {**SAMPLE, "seed": seed}) for seed in seeds), at=DAYS[1])
    Path("f.json").write_text(json.dumps([argilla("like", {**SAMPLE, "seed": seed}) for seed in seeds]))
    command = [sys.executable, REPOSITORY / "genloop.py", "import-feedback", "--project", configured.root, "f.json", "--json"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=configured.environment) for _ in range(2)]
    found = [json.loads(process.communicate()[0]) for process in processes]
    assert sum(one["stored"] for one in found) == 1500
    assert all(one["stored"] + one["known"] == 1500 for one in found)
    assert set(last_words(configured).values()) == {1}
    assert len(stored(configured)) == 4500


def test_an_import_that_broke_off_is_completed_by_the_next(configured: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(2500)
    export(configured, *(argilla("like", {**SAMPLE, "seed": seed}) for seed in seeds), at=DAYS[0])
    Path("f.json").write_text(json.dumps([argilla("dislike", {**SAMPLE, "seed": seed}) for seed in seeds]))
    add, calls = EventStore.add, []

    def broken(store: EventStore, events: Any) -> Any:
        calls.append(len(events))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return add(store, events)

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "add", broken)
        assert call(configured, "f.json").code != 0
    assert numbers(imported(configured, "f.json")) == (1500, 1000, 0)
    assert set(last_words(configured).values()) == {-1}
    assert len(stored(configured)) == 5000


@pytest.mark.parametrize("times", [[DAYS[1], DAYS[2], DAYS[3]], [DAYS[1], DAYS[3], DAYS[2]], [DAYS[3], DAYS[2], DAYS[1]]])
def test_where_an_export_has_times_these_decide_and_not_the_order_of_imports(configured: Project, times: list[str]) -> None:
    """Label Studio changes an annotation in place, so an older export has the older answer."""
    answers = dict(zip(times, ["like", "dislike", "like"], strict=True))
    for at, answer in answers.items():
        assert export(configured, task(answer, at)) == (1, 0, 0)
        assert export(configured, task(answer, at)) == (0, 1, 0)
    expected = [(at, 1 if answers[at] == "like" else -1) for at in sorted(times)]
    assert history(configured) == expected
    assert last_words(configured) == {("label-studio:4", 17): expected[-1][1]}


@pytest.mark.parametrize("about", [SAMPLE, PAIR, {"row": ROW}])
def test_label_studio_without_times_is_as_any_export_without_times(configured: Project, about: dict[str, Any]) -> None:
    first, second = {"version": ("like", "dislike"), "left_version": ("left", "right"), "row": ("1", "2")}[next(iter(about))]
    for answer in (first, second, first):
        assert export(configured, task(answer, None, about)) == (1, 0, 0)
        assert export(configured, task(answer, None, about)) == (0, 1, 0)
    words = [word for _, word in history(configured)]
    assert (len(words), words[0] == words[2], words[0] == words[1]) == (3, True, False)


def test_each_of_several_annotators_has_a_last_word_of_their_own(configured: Project) -> None:
    both = task("like", DAYS[1])
    both["annotations"] += task("like", DAYS[2], user=5)["annotations"]
    export(configured, both)
    both["annotations"][0] = task("dislike", DAYS[5])["annotations"][0]
    assert export(configured, both) == (1, 1, 0)
    assert last_words(configured) == {("label-studio:4", 17): -1, ("label-studio:5", 17): 1}


def test_what_was_skipped_or_deleted_after_it_was_answered_stays_as_it_was(configured: Project) -> None:
    export(configured, task("like", DAYS[1]), task("like", DAYS[1], {**SAMPLE, "seed": 1}))
    Path("f.json").write_text(json.dumps([task("like", DAYS[2], was_cancelled=True)]))  # and the other task has none any more
    imported(configured, "f.json", code=2)
    assert [one["reason"] for one in rejects("f.json")] == ["skipped by its rater"]
    assert last_words(configured) == {("label-studio:4", 17): 1, ("label-studio:4", 1): 1}


def test_records_of_an_argilla_server_have_times(configured: Project) -> None:
    """They are naive there, and in UTC."""

    def record(answer: str, updated: str) -> dict[str, Any]:
        response = {"id": "x", "values": {"question": {"value": answer}}, "status": "submitted", "user_id": "u1",
                    "inserted_at": "2026-01-01T12:00:00", "updated_at": updated}  # fmt: skip
        return {"id": "r", "external_id": "e", "fields": {"image": "x"}, "metadata": SAMPLE, "responses": [response]}

    for answer, day in (("like", 3), ("like", 9), ("dislike", 6)):
        assert export(configured, record(answer, f"2026-01-{day:02}T12:00:00")) == (1, 0, 0)
    assert history(configured) == [("2026-01-03T12:00:00Z", 1), ("2026-01-06T12:00:00Z", -1), ("2026-01-09T12:00:00Z", 1)]
    assert export(configured, argilla("like"), at=DAYS[20]) == (0, 1, 0)  # the same answer, from an export without times
    assert export(configured, argilla("dislike"), at=DAYS[21]) == (1, 0, 0)
    assert last_words(configured) == {(ANN, 17): -1}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_has_a_time_in_each_row_or_is_refused(configured: Project, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(*answers: tuple[str | None, int]) -> None:
        columns = {"type": "vote", "rater": "ann", "version": 3, "seed": 17}
        rows = [{**columns, **({"at": at} if at is not None else {}), "value": value} for at, value in answers]
        if suffix == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), "f.parquet")
        else:
            Path("f.csv").write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]))

    write((DAYS[1], 1), (DAYS[2], -1), (DAYS[3], 1))
    assert numbers(imported(configured, f"f.{suffix}")) == (3, 0, 0)
    assert history(configured) == [(DAYS[1], 1), (DAYS[2], -1), (DAYS[3], 1)]
    write(("", -1), (DAYS[5], 1))
    assert numbers(imported(configured, f"f.{suffix}")) == (1, 0, 1)
    assert rejects(f"f.{suffix}")[0]["detail"] == "at: this key is missing"
    write((None, -1))
    assert "no column 'at'" in call(configured, f"f.{suffix}").err


def test_curation_counts_the_last_word_of_an_export_without_times(project: Project, make_params: MakeParams) -> None:
    """All its votes have one timestamp, which is neither a burst nor copying."""
    curation = Curation(project, make_params, ["a", "b"])
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    samples = [curation.feedback.sample(image) for image in curation.new(40)]
    liked = {sample: place % 2 == 0 for place, sample in enumerate(samples)}

    def answers(flipped: set[Sample]) -> list[dict[str, Any]]:
        return [
            argilla("like" if liked[sample] ^ (sample in flipped) else "dislike", sample.model_dump(), f"u{user}")
            for user in range(5)
            for sample in samples
        ]

    assert export(project, *answers(set()), at=DAYS[1]) == (200, 0, 0)
    assert export(project, *answers({samples[0]}), at=DAYS[2]) == (5, 195, 0)
    assert export(project, *answers(set()), at=DAYS[3]) == (5, 195, 0)
    curation.feedback.events = [parse(one) for one in stored(project)]
    report = curation.curate()
    assert (report["votes"], report["votes_set_aside"]) == (210, 10)
    assert {row["set_aside"] for row in curation.raters().values()} == {"replaced: 2"}
    places = {place: (row["seed"], row["label"]) for place, row in enumerate(curation.table("samples"))}
    counted = {(places[row["sample"]], row["value"]) for row in curation.table("votes")}
    assert counted == {((sample.seed, sample.label), 1 if like else -1) for sample, like in liked.items()}
