"""What there is of one rater."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pipelines.core import paths
from pipelines.feedback import rater_lineage
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import Store
from tests.feedback.followed import Made
from tests.feedback.writer import vote


def test_what_was_said_is_counted_by_type_with_its_times_and_folds(made: Made) -> None:
    found = rater_lineage.of("zoe", None)
    assert {name: span.count for name, span in found.types.items()} == {"upload": 1, "vote": 1}
    assert all(span.first == span.last for span in found.types.values())
    assert sorted(event.id for event in found.events) == sorted([made.events["judged"][0], *made.events["uploaded"]])
    every = rater_lineage.of("ann", None)
    assert set(every.sealed) == {"x", "y"}
    assert next(iter(every.types)) == "vote"
    assert every.types["vote"].first < every.types["vote"].last


def test_what_waits_is_known_from_the_database_and_counted_once(store: Store) -> None:
    store.add([vote("a", "ann"), vote("b", "bob"), vote("c", "ann", at="2026-01-30T12:00:00Z")])
    seal.fold(store, paths.FEEDBACK)
    store.add([vote("d", "ann", at="2026-02-01T12:00:00Z")])
    found = rater_lineage.of("ann", store)
    assert [[event.id for event in said] for said in found.sealed.values()] == [["c", "a"]]
    assert [event.id for event in found.waiting] == ["d"]
    assert found.types["vote"].last == datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_what_they_put_in_and_changed_is_found(made: Made) -> None:
    nothing: dict[str, list[str]] = {"added": [], "corrected": [], "removed": [], "reported": []}
    assert rater_lineage.touched(rater_lineage.of("zoe", None).events) == {**nothing, "added": [made.uploaded]}
    ann = rater_lineage.touched(rater_lineage.of("ann", None).events)
    assert made.liked in ann.pop("added")
    assert ann == {"corrected": [made.corrected], "removed": [], "reported": [made.reported]}
    eve = rater_lineage.touched(rater_lineage.of("eve", None).events)
    assert (eve["removed"], eve["reported"]) == ([made.removed], [made.removed])
    assert rater_lineage.touched([]) == nothing


def test_before_curate_has_run_nothing_is_known_to_be_changed(project: Path) -> None:
    assert not any(rater_lineage.touched([vote("a")]).values())
    assert rater_lineage.standing("ann") is None


def test_how_far_they_are_believed_is_what_curate_says(made: Made) -> None:
    found = rater_lineage.standing("ann")
    assert found is not None
    assert float(found["reliability"]) > 0.5
    assert rater_lineage.standing("nobody") is None


def test_somebody_unknown_is_said_with_the_names_that_are_near(store: Store) -> None:
    store.add([vote("a", "label-studio:5"), vote("b", "bob")])
    assert str(rater_lineage.unknown("label-studio5", store)).endswith("has said nothing; did you mean label-studio:5?")
    assert str(rater_lineage.unknown("zoe", store)) == "zoe: has said nothing"
    store.erase("zoe")
    assert str(rater_lineage.unknown("zoe", store)) == "zoe: was forgotten, and nothing of theirs is left"
