"""Labels that were wrong, and the bounds of what one rater may change."""

from __future__ import annotations

from pipelines.core import images
from tests.curation.data import Curation
from tests.curation.test_credibility import spam


def test_the_label_that_most_reliability_stands_behind_wins(curation: Curation) -> None:
    first, second = curation.ids[0], curation.ids[2]
    backing = [curation.feedback.correct(rater, first, 1) for rater in ("ann", "bob")]
    curation.feedback.correct("eve", first, 0)
    curation.feedback.correct("ann", second, 1)
    curation.feedback.correct("bob", second, 0)  # says what it is already
    report = curation.curate()
    assert curation.changes() == {first: (1, False)}
    assert curation.table("changes")[0]["events"] == backing
    assert report["labels_corrected"] == 1
    assert curation.raters()["eve"]["set_aside"] == "label, outvoted: 1"
    assert curation.raters()["bob"]["set_aside"] == "label, tie: 1"


def test_a_rater_s_last_word_on_a_row_counts(curation: Curation) -> None:
    curation.feedback.correct("ann", curation.ids[0], 1)
    curation.feedback.correct("ann", curation.ids[0], 0)
    assert curation.curate()["labels_corrected"] == 0
    assert curation.raters()["ann"]["set_aside"] == "label, replaced: 1"


def test_rows_that_are_held_out_keep_their_labels(curation: Curation) -> None:
    curation.feedback.correct("ann", curation.ids[-1], 0)
    assert curation.curate()["labels_corrected"] == 0
    assert (curation.changes(), curation.raters()["ann"]["set_aside"]) == ({}, "label, held out: 1")


def test_unknown_rows_and_labels_are_set_aside(curation: Curation) -> None:
    curation.feedback.correct("ann", "f" * 64, 0)
    curation.feedback.correct("ann", curation.ids[0], 2)
    assert curation.curate()["labels_corrected"] == 0
    assert curation.raters()["ann"]["set_aside"] == "label, unknown label: 1; label, unknown row: 1"


def test_an_upload_can_be_corrected_too(curation: Curation) -> None:
    image = curation.new(1)[0]
    sent = curation.feedback.upload("ann", image, 0)
    corrected = curation.feedback.correct("bob", images.row_id(image), 1)
    assert curation.curate()["labels_corrected"] == 1
    assert [(row["label"], row["events"]) for row in curation.rows()] == [(1, [sent, corrected])]
    assert curation.changes() == {}


def test_who_is_not_believed_changes_nothing(curation: Curation) -> None:
    spam(curation)
    curation.feedback.correct("coin", curation.ids[0], 1)
    curation.feedback.report("coin", row=curation.ids[2])
    report = curation.curate()
    assert (report["labels_corrected"], report["rows_removed"], report["reported"]) == (0, 0, 0)
    expected = "at chance: 40; label, rater not credible: 1; report, rater not credible: 1"
    assert curation.raters()["coin"]["set_aside"] == expected


def test_one_rater_changes_no_more_than_a_share_of_the_rows_of_a_class(curation: Curation) -> None:
    """200 rows, half of each class: to correct and to take away come together."""
    for place in range(30):
        curation.feedback.correct("zoe", curation.ids[2 * place], 1)
        curation.feedback.report("zoe", row=curation.ids[2 * place + 1])
    report = curation.curate()
    assert (report["labels_corrected"], report["rows_removed"], report["reported"]) == (10, 10, 10)
    told = "label, over the rater's quota: 20; report, over the rater's quota: 20"
    assert curation.raters()["zoe"]["set_aside"] == told


def test_one_rater_cannot_take_a_class_away_by_reports_and_labels_together(curation: Curation) -> None:
    for place in range(0, 200, 2):
        curation.feedback.report("troll", row=curation.ids[place])
        curation.feedback.correct("troll", curation.ids[place], 1)
    report = curation.curate()
    assert report["labels_corrected"] + report["rows_removed"] == 10
