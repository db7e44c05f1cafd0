"""Images and rows that somebody reported."""

from __future__ import annotations

import numpy as np

from pipelines.core import images
from tests.curation.data import HELD_OUT, TRAIN, Curation
from tests.curation.test_credibility import spam


def test_what_looks_like_reported_pictures_is_kept_back_for_few_of_one_rater_s(curation: Curation) -> None:
    spam(curation)
    shown = [curation.feedback.sample(image) for image in curation.new(60)]
    for sample in shown[:40]:
        curation.feedback.report("troll", sample)
    for sample in shown[40:50]:
        curation.feedback.report("coin", sample)
    for sample in shown[50:]:
        curation.feedback.report("zoe", sample)
    curation.curate({"feedback.experts": ["zoe"]})
    row_ids = [images.row_id(images.decode_pixels(curation.feedback.generated[sample].image or b"")) for sample in shown]
    wide = {row["row_id"]: row["wide"] for row in curation.table("reported")}
    assert set(wide) == set(row_ids), "each of them is not drawn again"
    assert sum(wide[row_id] for row_id in row_ids[:40]) == 20
    assert not any(wide[row_id] for row_id in row_ids[40:50]), "whoever is not believed"
    assert all(wide[row_id] for row_id in row_ids[50:])


def test_a_reported_row_goes_and_is_remembered(curation: Curation) -> None:
    events = [curation.feedback.report(rater, row=curation.ids[4]) for rater in ("ann", "bob")]
    curation.feedback.correct("eve", curation.ids[4], 1)
    report = curation.curate()
    assert (report["rows_removed"], report["reported"]) == (1, 1)
    (change,) = curation.table("changes")
    assert change == {"row_id": curation.ids[4], "label": None, "removed": True, "events": events}
    (reported,) = curation.table("reported")
    assert (reported["row_id"], reported["events"]) == (curation.ids[4], events)
    assert np.array_equal(images.decode_pixels(reported["image"]), curation.pixels[4])
    assert curation.raters()["eve"]["set_aside"] == "label, row is removed: 1"


def test_a_reported_row_of_the_holdout_is_remembered_and_stays(curation: Curation) -> None:
    curation.feedback.report("ann", row=curation.ids[TRAIN + HELD_OUT - 1])
    report = curation.curate()
    assert (report["rows_removed"], report["reported"], curation.changes()) == (0, 1, {})


def test_a_reported_sample_is_no_row_whoever_reported_it(curation: Curation) -> None:
    spam(curation)
    samples = [curation.feedback.sample(image) for image in curation.new(3)]
    for sample in samples:
        curation.feedback.like(sample, "good0", "good1", "good2")
    curation.feedback.report("coin", samples[0])
    curation.feedback.report(
        "ann", row=images.row_id(images.decode_pixels(curation.feedback.generated[samples[1]].image or b""))
    )
    curation.feedback.report("ann", curation.feedback.sample(None))
    curation.feedback.report("ann", row="f" * 64)
    report = curation.curate({"feedback.max_generated_share": 0.5})
    assert (report["reported"], report["rows_removed"], report["refused"]) == (2, 0, {"reported": 2})
    assert curation.raters()["ann"]["set_aside"] == "report, no picture: 1; report, unknown row: 1"


def test_what_looks_like_a_reported_sample_is_no_row(curation: Curation) -> None:
    image = curation.new(1)[0]
    retouched = np.where(image > 128, image - 1, image).astype(np.uint8)
    curation.feedback.report("ann", curation.feedback.sample(image))
    curation.feedback.upload("bob", image)
    curation.feedback.upload("bob", retouched)
    assert curation.curate()["refused"] == {"near_copy": 1, "reported": 1}


def test_a_reported_sample_that_is_a_row_takes_the_row_with_it(curation: Curation) -> None:
    curation.feedback.report("ann", curation.feedback.sample(curation.pixels[6]))
    curation.feedback.report("ann", curation.feedback.sample(curation.pixels[-1]))
    report = curation.curate()
    assert (report["reported"], report["rows_removed"]) == (2, 1)
    assert curation.changes() == {curation.ids[6]: (None, True)}


def test_an_upload_that_is_reported_is_no_row(curation: Curation) -> None:
    image = curation.new(1)[0]
    curation.feedback.upload("ann", image)
    curation.feedback.report("bob", row=images.row_id(image))
    report = curation.curate()
    assert (report["rows_uploaded"], report["reported"], report["refused"]) == (0, 1, {"reported": 1})
