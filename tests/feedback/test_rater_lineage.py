"""What there is of one rater."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.core.project import Project
from pipelines.feedback import rater_lineage
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore
from tests.feedback.lineage_project import LineageProject
from tests.feedback.writer import vote


def test_what_was_said_is_counted_by_type_with_its_times_and_folds(project: Project, lineage: LineageProject) -> None:
    found = rater_lineage.find(project, "zoe", None)
    assert {name: span.count for name, span in found.types.items()} == {"upload": 1, "vote": 1}
    assert all(span.first == span.last for span in found.types.values())
    assert sorted(event.id for event in found.events) == sorted([lineage.events["judged"][0], *lineage.events["uploaded"]])
    every = rater_lineage.find(project, "ann", None)
    assert set(every.sealed) == {"x", "y"}
    assert next(iter(every.types)) == "vote"
    assert every.types["vote"].first < every.types["vote"].last


def test_what_waits_is_known_from_the_database_and_counted_once(store: EventStore, project: Project) -> None:
    store.add([vote("a", "ann"), vote("b", "bob"), vote("c", "ann", at="2026-01-30T12:00:00Z")])
    seal.fold(store, project.feedback)
    store.add([vote("d", "ann", at="2026-02-01T12:00:00Z")])
    found = rater_lineage.find(project, "ann", store)
    assert [[event.id for event in said] for said in found.sealed.values()] == [["c", "a"]]
    assert [event.id for event in found.waiting] == ["d"]
    assert found.types["vote"].last == datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_what_they_put_in_and_changed_is_found(project: Project, lineage: LineageProject) -> None:
    def affected(rater: str) -> dict[str, list[str]]:
        return rater_lineage.affected_rows(project.curated, rater_lineage.find(project, rater, None).events)

    nothing: dict[str, list[str]] = {"added": [], "corrected": [], "removed": [], "reported": []}
    assert affected("zoe") == {**nothing, "added": [lineage.uploaded]}
    ann = affected("ann")
    assert lineage.liked in ann.pop("added")
    assert ann == {"corrected": [lineage.corrected], "removed": [], "reported": [lineage.reported]}
    eve = affected("eve")
    assert (eve["removed"], eve["reported"]) == ([lineage.removed], [lineage.removed])
    assert rater_lineage.affected_rows(project.curated, []) == nothing


def test_before_curate_has_run_nothing_is_known_to_be_changed(project: Project) -> None:
    assert not any(rater_lineage.affected_rows(project.curated, [vote("a")]).values())
    assert rater_lineage.curation_row(project.reports, "ann") is None


def test_how_far_they_are_believed_is_what_curate_says(project: Project, lineage: LineageProject) -> None:
    found = rater_lineage.curation_row(project.reports, "ann")
    assert found is not None
    assert float(found["reliability"]) > 0.5
    assert rater_lineage.curation_row(project.reports, "nobody") is None


def test_somebody_unknown_is_said_with_the_names_that_are_near(store: EventStore, project: Project) -> None:
    store.add([vote("a", "label-studio:5"), vote("b", "bob")])
    assert str(rater_lineage.unknown_rater(project, "label-studio5", store)).endswith(
        "there are no events of theirs; did you mean label-studio:5?"
    )
    assert str(rater_lineage.unknown_rater(project, "zoe", store)) == "zoe: there are no events of theirs"
    store.erase("zoe")
    assert str(rater_lineage.unknown_rater(project, "zoe", store)) == "zoe: was forgotten, and nothing of theirs is left"
