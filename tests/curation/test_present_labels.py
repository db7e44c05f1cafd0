"""Feedback means the classes that people meant, however runs have numbered them since."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines import curate
from pipelines.core import png, reports
from pipelines.feedback.sealed import event_images, manifest
from tests.curation.data import Curation

PEOPLE = ("ann", "bob", "eve")
ALONE = {"feedback.max_rater_share": 1.0}  # nobody is bounded

RENUMBERED = [
    (["a", "b", "c"], ["b", "c"], "b"),  # one is gone
    (["a", "b", "c"], ["b", "c"], "c"),
    (["b", "c"], ["a", "b", "c"], "b"),  # one came before the others
    (["a", "b"], ["b", "a"], "a"),  # sources in another order
    (["a", "b"], ["b", "a"], "b"),
]


def speak(curation: Curation, label: int) -> tuple[bytes, bytes, str]:
    """PNG of an upload and of a liked sample, and a row_id: people give all three this label."""
    sent, generated = curation.new(2)
    curation.feedback.upload("ann", sent, label)
    curation.feedback.like(curation.feedback.sample(generated, label), *PEOPLE)
    row = curation.ids[0]
    curation.feedback.correct("ann", row, label)
    return png.encode(sent), png.encode(generated), row


def number_anew(curation: Curation, classes: list[str]) -> None:
    """data/clean as a later run makes it: the rows are of the first two classes, by turns."""
    curation.classes = classes
    curation.write_rows(list(curation.pixels))


def found(curation: Curation) -> dict[Any, str]:
    """Class name by content of the rows that feedback adds, and by row_id of rows that it corrects."""
    rows = {row["image"]["bytes"]: row["label"] for row in curation.rows()}
    labels = rows | {row: label for row, (label, _) in curation.changes().items()}
    return {key: curation.classes[label] for key, label in labels.items()}


@pytest.mark.parametrize(("then", "now", "meant"), RENUMBERED)
def test_labels_mean_the_class_that_people_meant_though_it_has_another_number(
    curation: Curation, then: list[str], now: list[str], meant: str
) -> None:
    curation.feedback.classes = then
    sent, generated, row = speak(curation, then.index(meant))
    number_anew(curation, now)
    expected = {sent: meant, generated: meant, row: meant}
    if now[0] == meant:
        del expected[row]  # it is of that class already
    report = curation.curate(ALONE)
    assert found(curation) == expected
    assert report["refused"] == {}
    assert [(now[one["label"]], one["version_label"]) for one in curation.table("samples")] == [(meant, then.index(meant))]


@pytest.mark.parametrize(("then", "label"), [(["a", "b", "c"], 0), (["c", "b", "a"], 2), (["b", "c"], 7), ([], 0)])
def test_a_class_that_is_gone_is_no_other_class(curation: Curation, then: list[str], label: int) -> None:
    curation.feedback.classes = then
    sent, _ = curation.new(2)
    curation.feedback.upload("ann", sent, label)
    curation.feedback.correct("bob", curation.ids[0], label)
    number_anew(curation, ["b", "c"])
    report = curation.curate(ALONE)
    assert (found(curation), report["refused"]) == ({}, {"unknown label": 1})
    assert curation.raters()["ann"]["set_aside"] == "upload, unknown label: 1"
    assert curation.raters()["bob"]["set_aside"] == "label, unknown label: 1"


@pytest.mark.parametrize("then", [["a", "b", "c"], ["a"]])
def test_a_generated_image_of_a_class_that_is_gone_is_no_row(curation: Curation, then: list[str]) -> None:
    curation.feedback.classes = then
    curation.feedback.like(curation.feedback.sample(curation.new(1)[0], 0), *PEOPLE)
    number_anew(curation, ["b", "c"])
    report = curation.curate(ALONE)
    assert (found(curation), report["refused"]) == ({}, {"unknown label": 1})
    assert [(one["label"], one["version_label"]) for one in curation.table("samples")] == [(None, 0)]


def test_what_was_sealed_without_names_goes_by_the_index(curation: Curation) -> None:
    sent, generated, row = speak(curation, 1)
    number_anew(curation, ["x", "y", "z"])
    assert curation.curate(ALONE)["refused"] == {}
    assert found(curation) == {sent: "y", generated: "y", row: "y"}


def test_images_in_the_form_without_names_are_read_as_they_are(curation: Curation) -> None:
    sent, generated, row = speak(curation, 1)
    curation.feedback.seal(curation.project)
    file = event_images.images_file(curation.project.feedback, "a")
    pq.write_table(pq.read_table(file).drop_columns(["class_name"]), file)
    curation.project.manifest.unlink()
    manifest.update(curation.project.feedback, curation.project.manifest)
    content = file.read_bytes()
    curate.run(curation.project, curation.make_params(ALONE))
    assert found(curation) == {sent: "b", generated: "b", row: "b"}
    assert file.read_bytes() == content


def test_a_sample_that_one_batch_has_without_a_name_has_that_of_another(curation: Curation) -> None:
    image = curation.new(1)[0]
    sample = curation.feedback.sample(image, 0)
    curation.feedback.like(sample, *PEOPLE)
    curation.feedback.seal(curation.project, ("m",))
    curation.feedback.classes, curation.feedback.generated = ["a", "b"], {}
    assert curation.feedback.sample(image, 0) == sample
    for other in ("b", "z"):
        curation.feedback.seal(curation.project, (other,))
    number_anew(curation, ["b", "a"])
    curate.run(curation.project, curation.make_params(ALONE))
    assert found(curation) == {png.encode(image): "a"}
    assert reports.read(curation.project.reports, "feedback")["events"] == len(PEOPLE)


def test_the_answer_is_the_same_whether_two_people_gave_it_before_or_after_the_numbers_changed(curation: Curation) -> None:
    """Both mean b; by their numbers they would contradict each other."""
    image = curation.new(1)[0]
    curation.feedback.classes = ["a", "b", "c"]
    curation.feedback.upload("ann", image, 1)
    curation.feedback.seal(curation.project, ("z",))
    number_anew(curation, ["b", "c"])
    curation.feedback.events, curation.feedback.classes = [], ["b", "c"]
    curation.feedback.upload("bob", image, 0)
    report = curation.curate(batches=("a",))
    assert (found(curation), report["refused"]) == ({png.encode(image): "b"}, {})
