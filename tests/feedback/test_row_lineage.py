"""From a row back to the events behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.core import paths
from pipelines.core.errors import InputError
from pipelines.feedback import row_lineage
from pipelines.feedback.row_lineage import Trail
from pipelines.feedback.sealed import seal
from pipelines.scoring import approval
from tests.contracts import pictures, write_rows
from tests.feedback.followed import Made


def parts(found: Trail) -> dict[str, str]:
    return {one.event.id: one.part for one in found.events}


def told(made: Made, **names: str) -> dict[str, str]:
    return {event: part for name, part in names.items() for event in made.events[name]}


def test_a_drawn_row_leads_to_its_sample_and_to_all_who_judged_it(made: Made) -> None:
    found = row_lineage.find(made.liked)
    assert found.row
    assert [found.row[name] for name in ("source", "origin", "generation", "split")] == ["feedback", "generated", 1, "train"]
    assert (found.label, found.name(found.label), found.weight) == (1, "b", 1.0)
    assert found.sample == made.sample
    assert found.liked is not None
    assert found.liked > 0.8
    expected = told(made, liked="row", judged="judged")
    weights = {one.event.id: one.weight for one in found.events}
    assert {name: part for name, part in expected.items() if weights.get(name)} == parts(found)
    assert set(made.events["liked"]) < set(parts(found))
    assert [one.event.at for one in found.events] == sorted(one.event.at for one in found.events)
    assert found.lost == 0


def test_a_row_that_was_sent_leads_to_who_sent_it(made: Made) -> None:
    found = row_lineage.find(made.uploaded)
    assert found.row
    assert found.row["origin"] == "upload"
    assert parts(found) == told(made, uploaded="row")
    assert [one.event.rater for one in found.events] == ["zoe"]
    assert (found.sample, found.liked) == (None, None)


def test_a_corrected_row_has_the_new_class_and_says_the_old_one(made: Made) -> None:
    found = row_lineage.find(made.corrected)
    assert found.row
    assert (found.label, found.row["label"], found.weight) == (1, 0, 1.0)
    assert parts(found) == told(made, corrected="label")


def test_a_row_that_was_taken_away_says_by_whom(made: Made) -> None:
    found = row_lineage.find(made.removed)
    assert (found.removed, found.reported, found.weight) == (True, True, 0.0)
    assert parts(found) == told(made, removed="removed")


def test_a_reported_picture_that_is_no_row_is_found_too(made: Made) -> None:
    found = row_lineage.find(made.reported)
    assert (found.row, found.reported, found.label) == (None, True, None)
    assert parts(found)[made.events["reported"][0]] == "reported"
    assert found.sample is not None


def test_a_row_of_which_nobody_said_anything(made: Made) -> None:
    some = next(row_lineage.rows(paths.CLEAN, ""))["row_id"]
    found = row_lineage.find(some)
    assert (found.events, found.removed, found.reported, found.approval) == ([], False, False, None)


def test_its_weight_follows_from_its_approval(made: Made) -> None:
    paths.APPROVAL.mkdir()
    approval.write_weights(paths.APPROVAL, np.array([made.corrected]), np.array([1.5]), np.array([0.75]))
    assert (row_lineage.find(made.corrected).weight, row_lineage.find(made.corrected).approval) == (1.5, 0.75)
    assert (row_lineage.find(made.liked).weight, row_lineage.find(made.liked).approval) == (1.0, None)


@pytest.mark.parametrize("digits", [8, 20])
def test_the_first_digits_are_enough_in_either_case(made: Made, digits: int) -> None:
    assert row_lineage.find(made.liked[:digits].upper()).row_id == made.liked


def test_events_that_were_forgotten_since_are_counted(made: Made) -> None:
    for path in seal.sealed(paths.FEEDBACK):
        batch, _ = seal.about(path)
        seal.write(paths.FEEDBACK, batch, [event for event in seal.events(paths.FEEDBACK, batch) if event.rater != "zoe"])
    found = row_lineage.find(made.uploaded)
    assert (found.events, found.lost) == ([], 1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("1234567", "at least its first eight hexadecimal digits"),
        ("not-a-row", "expected a row_id"),
        ("0" * 65, "expected a row_id"),
        ("f" * 64, "no row of data/clean or data/curated, and no reported picture, begins like this"),
    ],
)
def test_what_is_no_row_is_said(made: Made, asked: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        row_lineage.find(asked)


def test_a_beginning_of_several_rows_is_none(project: Path) -> None:
    write_rows(paths.CLEAN, pictures(12, 8, 1), [None] * 12)
    with pytest.raises(InputError, match=r"0{8}: 12 rows begin like this: 0{64}, 0{63}1, .*, …; give more digits"):
        row_lineage.find("0" * 8)
    assert row_lineage.find("0" * 63 + "1").label is None


def test_without_data_there_is_no_row(project: Path) -> None:
    with pytest.raises(InputError, match="begins like this"):
        row_lineage.find("0" * 8)
