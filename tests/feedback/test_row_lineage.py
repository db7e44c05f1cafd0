"""From a row back to the events behind it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback import row_lineage
from pipelines.feedback.row_lineage import RowLineage
from pipelines.feedback.sealed import seal
from pipelines.scoring import approval
from tests.contracts import pictures, write_rows
from tests.feedback.lineage_project import LineageProject


def effects(found: RowLineage) -> dict[str, str]:
    return {one.event.id: one.effect for one in found.events}


def expected_effects(lineage: LineageProject, **names: str) -> dict[str, str]:
    return {event: part for name, part in names.items() for event in lineage.events[name]}


def test_a_drawn_row_leads_to_its_sample_and_to_all_who_judged_it(project: Project, lineage: LineageProject) -> None:
    found = row_lineage.find(project, lineage.liked)
    assert found.row
    assert [found.row[name] for name in ("source", "origin", "generation", "split")] == ["feedback", "generated", 1, "train"]
    assert (found.label, found.name(found.label), found.weight) == (1, "b", 1.0)
    assert found.sample == lineage.sample
    assert found.liked is not None
    assert found.liked > 0.8
    expected = expected_effects(lineage, liked="row", judged="judged")
    weights = {one.event.id: one.weight for one in found.events}
    assert {name: part for name, part in expected.items() if weights.get(name)} == effects(found)
    assert set(lineage.events["liked"]) < set(effects(found))
    assert [one.event.at for one in found.events] == sorted(one.event.at for one in found.events)
    assert found.lost == 0


def test_a_row_that_was_sent_leads_to_who_sent_it(project: Project, lineage: LineageProject) -> None:
    found = row_lineage.find(project, lineage.uploaded)
    assert found.row
    assert found.row["origin"] == "upload"
    assert effects(found) == expected_effects(lineage, uploaded="row")
    assert [one.event.rater for one in found.events] == ["zoe"]
    assert (found.sample, found.liked) == (None, None)


def test_a_corrected_row_has_the_new_class_and_says_the_old_one(project: Project, lineage: LineageProject) -> None:
    found = row_lineage.find(project, lineage.corrected)
    assert found.row
    assert (found.label, found.row["label"], found.weight) == (1, 0, 1.0)
    assert effects(found) == expected_effects(lineage, corrected="label")


def test_a_row_that_was_taken_away_says_by_whom(project: Project, lineage: LineageProject) -> None:
    found = row_lineage.find(project, lineage.removed)
    assert (found.removed, found.flagged, found.weight) == (True, True, 0.0)
    assert effects(found) == expected_effects(lineage, removed="removed")


def test_a_reported_picture_that_is_no_row_is_found_too(project: Project, lineage: LineageProject) -> None:
    found = row_lineage.find(project, lineage.reported)
    assert (found.row, found.flagged, found.label) == (None, True, None)
    assert effects(found)[lineage.events["reported"][0]] == "reported"
    assert found.sample is not None


def test_a_row_of_which_nobody_said_anything(project: Project, lineage: LineageProject) -> None:
    some = next(row_lineage.rows(project.clean, ""))["row_id"]
    found = row_lineage.find(project, some)
    assert (found.events, found.removed, found.flagged, found.approval) == ([], False, False, None)


def test_its_weight_follows_from_its_approval(project: Project, lineage: LineageProject) -> None:
    project.approval.mkdir()
    approval.write_weights(
        approval.weights_file(project.approval), np.array([lineage.corrected]), np.array([1.5]), np.array([0.75])
    )
    assert (row_lineage.find(project, lineage.corrected).weight, row_lineage.find(project, lineage.corrected).approval) == (
        1.5,
        0.75,
    )
    assert (row_lineage.find(project, lineage.liked).weight, row_lineage.find(project, lineage.liked).approval) == (1.0, None)


@pytest.mark.parametrize("digits", [8, 20])
def test_the_first_digits_are_enough_in_either_case(project: Project, lineage: LineageProject, digits: int) -> None:
    assert row_lineage.find(project, lineage.liked[:digits].upper()).row_id == lineage.liked


def test_events_that_were_forgotten_since_are_counted(project: Project, lineage: LineageProject) -> None:
    for path in seal.sealed_files(project.feedback):
        batch, _ = seal.footer(path)
        seal.write(project.feedback, batch, [event for event in seal.events(project.feedback, batch) if event.rater != "zoe"])
    found = row_lineage.find(project, lineage.uploaded)
    assert (found.events, found.lost) == ([], 1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("1234567", "at least its first eight hexadecimal digits"),
        ("not-a-row", "expected a row_id"),
        ("0" * 65, "expected a row_id"),
        ("f" * 64, "no row of data/clean or data/curated, and no flagged image, begins like this"),
    ],
)
def test_what_is_no_row_is_said(project: Project, lineage: LineageProject, asked: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        row_lineage.find(project, asked)


def test_a_beginning_of_several_rows_is_none(project: Project) -> None:
    write_rows(project.clean, pictures(12, 8, 1), [None] * 12)
    with pytest.raises(InputError, match=r"0{8}: 12 rows begin like this: 0{64}, 0{63}1, .*, …; give more digits"):
        row_lineage.find(project, "0" * 8)
    assert row_lineage.find(project, "0" * 63 + "1").label is None


def test_without_data_there_is_no_row(project: Project) -> None:
    with pytest.raises(InputError, match="begins like this"):
        row_lineage.find(project, "0" * 8)
