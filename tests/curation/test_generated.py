"""Generated samples: which of them become rows, and how many."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.core import facts, images
from pipelines.feedback import curated
from tests.curation.data import Curation

PEOPLE = ("ann", "bob", "eve")
ALONE = {"feedback.max_rater_share": 1.0}  # nobody is bounded


def test_what_is_liked_becomes_a_row_and_what_is_disliked_does_not(curation: Curation) -> None:
    good, bad = ([curation.feedback.sample(image, label=1) for image in curation.new(6)] for _ in range(2))
    likes = [curation.feedback.like(sample, *PEOPLE) for sample in good]
    for sample in bad:
        for rater in PEOPLE:
            curation.feedback.vote(rater, sample, -1)
    report = curation.curate()
    assert (report["rows_generated"], report["samples_liked"], report["refused"]) == (6, 6, {})
    for row, events in zip(sorted(curation.rows(), key=lambda row: row["events"]), sorted(likes), strict=True):
        assert row["events"] == events
        facts = [row[name] for name in ("label", "source", "origin", "generation", "weight", "split")]
        assert facts == [1, "feedback", "generated", 1, 1.0, "train"]
        assert row["row_id"] == images.row_id(images.decode_pixels(row["image"]["bytes"]))
    liked = {row["seed"]: row["liked"] for row in curation.table("samples")}
    assert min(liked[sample.seed] for sample in good) > 0.9
    assert max(liked[sample.seed] for sample in bad) < 0.1
    assert {vote["value"] for vote in curation.table("votes")} == {-1, 1}


def test_one_like_among_dislikes_is_not_enough(curation: Curation) -> None:
    for image in curation.new(5):
        sample = curation.feedback.sample(image)
        curation.feedback.like(sample, "ann")
        for rater in ("bob", "eve"):
            curation.feedback.vote(rater, sample, -1)
    assert curation.curate()["samples_liked"] == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_the_share_of_drawn_rows_is_bounded_in_each_class(curation: Curation, share: float) -> None:
    for image in curation.new(60):
        curation.feedback.like(curation.feedback.sample(image, label=0), *PEOPLE)
    for image in curation.new(3):
        curation.feedback.like(curation.feedback.sample(image, label=1), *PEOPLE)
    report = curation.curate({"feedback.max_generated_share": share, **ALONE})
    number = Counter(row["label"] for row in curation.rows())
    assert number[0] / (number[0] + 100) <= share < (number[0] + 1) / (number[0] + 101)
    assert number[1] == (3 if share else 0)
    assert report["refused"] == {"over the class's quota": 63 - number.total()}


def test_the_budget_goes_to_the_best(curation: Curation) -> None:
    samples = [curation.feedback.sample(image) for image in curation.new(30)]
    for place, sample in enumerate(samples):
        curation.feedback.like(sample, *PEOPLE[: 2 + place % 2])
    curation.curate({"feedback.max_generated_share": 0.1, **ALONE})
    assert [len(row["events"]) for row in curation.rows()] == [3] * 11


def test_the_budget_counts_the_rows_as_people_have_changed_them(curation: Curation) -> None:
    for image in curation.new(40):
        curation.feedback.like(curation.feedback.sample(image, label=0), *PEOPLE)
    for row_id in curation.ids[0:40:2]:
        curation.feedback.correct("ann", row_id, 1)
    for row_id in curation.ids[40:60:2]:
        curation.feedback.report("bob", row=row_id)
    assert curation.curate(ALONE)["rows_generated"] == 17  # of 100 - 20 - 10 rows, 17.5 are a fifth of all


def test_one_rater_moves_no_more_than_a_share_of_the_rows(curation: Curation) -> None:
    for image in curation.new(40):
        curation.feedback.like(curation.feedback.sample(image, label=0), "zoe")
    for image in curation.new(40):
        curation.feedback.like(curation.feedback.sample(image, label=1), *PEOPLE)
    report = curation.curate({"feedback.max_rater_share": 0.05, "feedback.min_liked": 0.6, "feedback.max_generated_share": 0.5})
    number = Counter(row["label"] for row in curation.rows())
    assert number[0] == 10  # 5 % of 200 rows, zoe's alone
    assert number[1] == 30  # three people's
    assert report["refused"] == {"over the rater's quota": 40}


def test_what_was_drawn_too_far_from_real_images_is_no_row(curation: Curation) -> None:
    for generation, image in enumerate(curation.new(5), start=1):
        curation.feedback.like(curation.feedback.sample(image, generation=generation, version=generation), *PEOPLE)
    report = curation.curate({"feedback.max_generation": 3})
    assert [row["generation"] for row in curation.rows()] == [1, 2, 3]
    assert (report["generation"], report["refused"]) == (3, {"too deep": 2})


def test_a_copy_of_a_row_or_of_another_sample_is_no_row(curation: Curation) -> None:
    new = curation.new(2)
    dim = np.clip(curation.pixels[5].astype(int) + 1, 0, 255).astype(np.uint8)
    for image in (curation.pixels[0], curation.pixels[-1], dim, new[0], new[0], new[1]):
        curation.feedback.like(curation.feedback.sample(image), *PEOPLE)
    report = curation.curate()
    assert report["rows_generated"] == 2
    assert report["refused"] == {"exact_copy": 3, "near_copy": 1}


def test_copies_of_rows_that_came_in_another_size_are_found(curation: Curation) -> None:
    """The facts of data/raw, of other pixels, do not show them."""

    def small(image: np.ndarray) -> np.ndarray:
        return np.asarray(images.from_array(image).resize((8, 8), images.FILTERS["bicubic"]))[:, :, None]

    curation.write_rows([small(image) for image in curation.pixels])
    copy = small(curation.pixels[3])
    curation.feedback.like(curation.feedback.sample(np.where(copy > 128, copy - 1, copy).astype(np.uint8)), *PEOPLE)
    assert curation.curate({"image.size": 8})["refused"] == {"near_copy": 1}


def test_what_shows_nothing_is_no_row(curation: Curation) -> None:
    for grey in (0, 120):
        curation.feedback.like(curation.feedback.sample(np.full((16, 16, 1), grey, np.uint8)), *PEOPLE)
    assert curation.curate()["refused"] == {"brightness": 1, "contrast": 1}


def test_rules_on_sizes_are_not_about_what_is_drawn(curation: Curation) -> None:
    """Images of 40 pixels and more come in, and are brought to 16."""
    for image in curation.new(2):
        curation.feedback.like(curation.feedback.sample(image), *PEOPLE)
    measured = facts.read(curation.facts_file)
    measured["width"] = measured["height"] = 40
    facts.write(measured, curation.facts_file)
    rules = [{"rule": "too_small", "side": 40}, {"rule": "near_copy"}]
    report = curation.curate({"validate.hard": {"side": [40, None]}, "clean.rules": rules})
    assert (report["rows_generated"], report["refused"]) == (2, {})


def test_classes_ask_for_a_label_that_there_is(curation: Curation) -> None:
    for image, label in zip(curation.new(3), (None, 2, 1), strict=True):
        curation.feedback.like(curation.feedback.sample(image, label=label), *PEOPLE)
    report = curation.curate()
    assert (report["rows_generated"], report["refused"]) == (1, {"no label": 1, "unknown label": 1})


def test_what_was_asked_for_by_a_prompt_is_evidence_and_no_row_of_a_class(curation: Curation) -> None:
    first, second = curation.new(2)
    for sample in (curation.feedback.sample(first, prompt="a fox"), curation.feedback.sample(second)):
        curation.feedback.like(sample, *PEOPLE)
    report = curation.curate()
    assert (report["samples_liked"], report["rows_generated"]) == (2, 1)
    assert report["refused"] == {"asked for by a prompt, of no class": 1}
    assert [(row["prompt"], row["label"], row["version_label"]) for row in curation.table("samples")] == [
        ("a fox", None, None),
        (None, 0, 0),
    ]
    assert len(curation.table("votes")) == 6


def test_tables_of_before_there_were_prompts_are_read(curation: Curation) -> None:
    curation.feedback.like(curation.feedback.sample(curation.new(1)[0]), *PEOPLE)
    curation.curate()
    path, before = curated.path(curation.project.curated, "samples"), curation.table("samples")
    pq.write_table(pq.read_table(path).drop_columns(["prompt"]), path)
    assert curation.table("samples") == before


def test_without_classes_it_becomes_a_row_as_any_other(without_classes: Curation) -> None:
    sample = without_classes.feedback.sample(without_classes.new(1)[0], prompt="a fox")
    without_classes.feedback.like(sample, *PEOPLE)
    report = without_classes.curate()
    assert (report["rows_generated"], report["refused"]) == (1, {})
    assert [row["label"] for row in without_classes.rows()] == [None]


def test_without_classes_there_is_one_budget(without_classes: Curation) -> None:
    for image in without_classes.new(60):
        without_classes.feedback.like(without_classes.feedback.sample(image, label=None), *PEOPLE)
    report = without_classes.curate(ALONE)
    assert (report["rows_generated"], report["refused"]) == (50, {"over the class's quota": 10})
    assert {row["label"] for row in without_classes.rows()} == {None}


def test_a_sample_of_another_form_is_brought_to_the_rows_form(curation: Curation) -> None:
    curation.feedback.like(curation.feedback.sample(curation.new(1, size=32, channels=3)[0]), *PEOPLE)
    curation.curate()
    assert images.decode_pixels(curation.rows()[0]["image"]["bytes"]).shape == (16, 16, 1)
    assert images.decode_pixels(curation.table("samples")[0]["image"]).shape == (16, 16, 1)


def test_votes_on_what_nobody_can_see_any_more_are_rejected(curation: Curation) -> None:
    curation.feedback.like(curation.feedback.sample(None), *PEOPLE)
    report = curation.curate()
    assert (report["votes"], report["votes_set_aside"], report["samples"], report["rows_in"]) == (3, 3, 0, 0)
    assert curation.raters()["ann"]["set_aside"] == "no picture: 1"
