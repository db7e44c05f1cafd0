"""What changes in rows that there are: labels that were wrong, and rows that somebody reported."""

from __future__ import annotations

import numpy as np

from pipelines.core import images
from tests.curation.data import HELD_OUT, TRAIN, Project, changes, raters, rows, table
from tests.curation.test_belief import crowd


def spam(there: Project) -> None:
    """One who votes at random among those who do not."""
    random = np.random.default_rng(1)
    for sample, _ in crowd(there):
        there.said.vote("coin", sample, int(random.choice([-1, 1])))


def test_the_label_that_most_reliability_stands_behind_wins(there: Project) -> None:
    first, second = there.ids[0], there.ids[2]
    backing = [there.said.correct(rater, first, 1) for rater in ("ann", "bob")]
    there.said.correct("eve", first, 0)
    there.said.correct("ann", second, 1)
    there.said.correct("bob", second, 0)  # says what it is already
    report = there.curate()
    assert changes() == {first: (1, False)}
    assert table("changes")[0]["events"] == backing
    assert report["labels_corrected"] == 1
    assert raters()["eve"]["set_aside"] == "label, outvoted: 1"
    assert raters()["bob"]["set_aside"] == "label, tie: 1"


def test_a_rater_s_last_word_on_a_row_counts(there: Project) -> None:
    there.said.correct("ann", there.ids[0], 1)
    there.said.correct("ann", there.ids[0], 0)
    assert there.curate()["labels_corrected"] == 0
    assert raters()["ann"]["set_aside"] == "label, replaced: 1"


def test_rows_that_are_held_out_keep_their_labels(there: Project) -> None:
    there.said.correct("ann", there.ids[-1], 0)
    assert there.curate()["labels_corrected"] == 0
    assert (changes(), raters()["ann"]["set_aside"]) == ({}, "label, held out: 1")


def test_unknown_rows_and_labels_are_set_aside(there: Project) -> None:
    there.said.correct("ann", "f" * 64, 0)
    there.said.correct("ann", there.ids[0], 2)
    assert there.curate()["labels_corrected"] == 0
    assert raters()["ann"]["set_aside"] == "label, unknown label: 1; label, unknown row: 1"


def test_an_upload_can_be_corrected_too(there: Project) -> None:
    image = there.new(1)[0]
    sent = there.said.upload("ann", image, 0)
    corrected = there.said.correct("bob", images.row_id(image), 1)
    assert there.curate()["labels_corrected"] == 1
    assert [(row["label"], row["events"]) for row in rows()] == [(1, [sent, corrected])]
    assert changes() == {}


def test_who_is_not_believed_changes_nothing(there: Project) -> None:
    spam(there)
    there.said.correct("coin", there.ids[0], 1)
    there.said.report("coin", row=there.ids[2])
    report = there.curate()
    assert (report["labels_corrected"], report["rows_removed"], report["reported"]) == (0, 0, 0)
    expected = "at chance: 40; label, rater not believed: 1; report, rater not believed: 1"
    assert raters()["coin"]["set_aside"] == expected


def test_one_rater_changes_no_more_than_a_share_of_the_rows_of_a_class(there: Project) -> None:
    """200 rows, half of each class: to correct and to take away come together."""
    for place in range(30):
        there.said.correct("zoe", there.ids[2 * place], 1)
        there.said.report("zoe", row=there.ids[2 * place + 1])
    report = there.curate()
    assert (report["labels_corrected"], report["rows_removed"], report["reported"]) == (10, 10, 10)
    told = "label, over the rater's part: 20; report, over the rater's part: 20"
    assert raters()["zoe"]["set_aside"] == told


def test_one_rater_cannot_take_a_class_away_by_reports_and_labels_together(there: Project) -> None:
    for place in range(0, 200, 2):
        there.said.report("troll", row=there.ids[place])
        there.said.correct("troll", there.ids[place], 1)
    report = there.curate()
    assert report["labels_corrected"] + report["rows_removed"] == 10


def test_what_looks_like_reported_pictures_is_kept_back_for_few_of_one_rater_s(there: Project) -> None:
    spam(there)
    shown = [there.said.sample(image) for image in there.new(60)]
    for sample in shown[:40]:
        there.said.report("troll", sample)
    for sample in shown[40:50]:
        there.said.report("coin", sample)
    for sample in shown[50:]:
        there.said.report("zoe", sample)
    there.curate({"feedback.experts": ["zoe"]})
    row_ids = [images.row_id(images.decode_png(there.said.drawn[sample].image or b"")) for sample in shown]
    wide = {row["row_id"]: row["wide"] for row in table("reported")}
    assert set(wide) == set(row_ids), "each of them is not drawn again"
    assert sum(wide[row_id] for row_id in row_ids[:40]) == 20
    assert not any(wide[row_id] for row_id in row_ids[40:50]), "whoever is not believed"
    assert all(wide[row_id] for row_id in row_ids[50:])


def test_a_reported_row_goes_and_is_remembered(there: Project) -> None:
    events = [there.said.report(rater, row=there.ids[4]) for rater in ("ann", "bob")]
    there.said.correct("eve", there.ids[4], 1)
    report = there.curate()
    assert (report["rows_removed"], report["reported"]) == (1, 1)
    (change,) = table("changes")
    assert change == {"row_id": there.ids[4], "label": None, "removed": True, "events": events}
    (reported,) = table("reported")
    assert (reported["row_id"], reported["events"]) == (there.ids[4], events)
    assert np.array_equal(images.decode_png(reported["image"]), there.pixels[4])
    assert raters()["eve"]["set_aside"] == "label, row is removed: 1"


def test_a_reported_row_of_the_holdout_is_remembered_and_stays(there: Project) -> None:
    there.said.report("ann", row=there.ids[TRAIN + HELD_OUT - 1])
    report = there.curate()
    assert (report["rows_removed"], report["reported"], changes()) == (0, 1, {})


def test_a_reported_sample_is_no_row_whoever_reported_it(there: Project) -> None:
    spam(there)
    samples = [there.said.sample(image) for image in there.new(3)]
    for sample in samples:
        there.said.like(sample, "good0", "good1", "good2")
    there.said.report("coin", samples[0])
    there.said.report("ann", row=images.row_id(images.decode_png(there.said.drawn[samples[1]].image or b"")))
    there.said.report("ann", there.said.sample(None))
    there.said.report("ann", row="f" * 64)
    report = there.curate({"feedback.max_generated_share": 0.5})
    assert (report["reported"], report["rows_removed"], report["refused"]) == (2, 0, {"reported": 2})
    assert raters()["ann"]["set_aside"] == "report, no picture: 1; report, unknown row: 1"


def test_what_looks_like_a_reported_sample_is_no_row(there: Project) -> None:
    image = there.new(1)[0]
    retouched = np.where(image > 128, image - 1, image).astype(np.uint8)
    there.said.report("ann", there.said.sample(image))
    there.said.upload("bob", image)
    there.said.upload("bob", retouched)
    assert there.curate()["refused"] == {"near_copy": 1, "reported": 1}


def test_a_reported_sample_that_is_a_row_takes_the_row_with_it(there: Project) -> None:
    there.said.report("ann", there.said.sample(there.pixels[6]))
    there.said.report("ann", there.said.sample(there.pixels[-1]))
    report = there.curate()
    assert (report["reported"], report["rows_removed"]) == (2, 1)
    assert changes() == {there.ids[6]: (None, True)}


def test_an_upload_that_is_reported_is_no_row(there: Project) -> None:
    image = there.new(1)[0]
    there.said.upload("ann", image)
    there.said.report("bob", row=images.row_id(image))
    report = there.curate()
    assert (report["rows_uploaded"], report["reported"], report["refused"]) == (0, 1, {"reported": 1})
