"""Drawn samples: which of them become rows, and how many."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipelines.core import facts, images, paths
from pipelines.curation.quotas import Parts
from tests.curation.data import Project, raters, rows, table

PEOPLE = ("ann", "bob", "eve")
ALONE = {"feedback.max_rater_share": 1.0}  # nobody is bounded


def test_what_is_liked_becomes_a_row_and_what_is_disliked_does_not(there: Project) -> None:
    good, bad = ([there.said.sample(image, label=1) for image in there.new(6)] for _ in range(2))
    likes = [there.said.like(sample, *PEOPLE) for sample in good]
    for sample in bad:
        for rater in PEOPLE:
            there.said.vote(rater, sample, -1)
    report = there.curate()
    assert (report["rows_generated"], report["samples_liked"], report["refused"]) == (6, 6, {})
    for row, events in zip(sorted(rows(), key=lambda row: row["events"]), sorted(likes), strict=True):
        assert row["events"] == events
        facts = [row[name] for name in ("label", "source", "origin", "generation", "weight", "split")]
        assert facts == [1, "feedback", "generated", 1, 1.0, "train"]
        assert row["row_id"] == images.row_id(images.decode_png(row["image"]["bytes"]))
    liked = {row["seed"]: row["liked"] for row in table("samples")}
    assert min(liked[sample.seed] for sample in good) > 0.9
    assert max(liked[sample.seed] for sample in bad) < 0.1
    assert {vote["value"] for vote in table("votes")} == {-1, 1}


def test_one_like_among_dislikes_is_not_enough(there: Project) -> None:
    for image in there.new(5):
        sample = there.said.sample(image)
        there.said.like(sample, "ann")
        for rater in ("bob", "eve"):
            there.said.vote(rater, sample, -1)
    assert there.curate()["samples_liked"] == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_the_share_of_drawn_rows_is_bounded_in_each_class(there: Project, share: float) -> None:
    for image in there.new(60):
        there.said.like(there.said.sample(image, label=0), *PEOPLE)
    for image in there.new(3):
        there.said.like(there.said.sample(image, label=1), *PEOPLE)
    report = there.curate({"feedback.max_generated_share": share, **ALONE})
    number = Counter(row["label"] for row in rows())
    assert number[0] / (number[0] + 100) <= share < (number[0] + 1) / (number[0] + 101)
    assert number[1] == (3 if share else 0)
    assert report["refused"] == {"over budget": 63 - number.total()}


def test_the_budget_goes_to_the_best(there: Project) -> None:
    samples = [there.said.sample(image) for image in there.new(30)]
    for place, sample in enumerate(samples):
        there.said.like(sample, *PEOPLE[: 2 + place % 2])
    there.curate({"feedback.max_generated_share": 0.1, **ALONE})
    assert [len(row["events"]) for row in rows()] == [3] * 11


def test_the_budget_counts_the_rows_as_people_have_changed_them(there: Project) -> None:
    for image in there.new(40):
        there.said.like(there.said.sample(image, label=0), *PEOPLE)
    for row_id in there.ids[0:40:2]:
        there.said.correct("ann", row_id, 1)
    for row_id in there.ids[40:60:2]:
        there.said.report("bob", row=row_id)
    assert there.curate(ALONE)["rows_generated"] == 17  # of 100 - 20 - 10 rows, 17.5 are a fifth of all


def test_one_rater_moves_no_more_than_a_share_of_the_rows(there: Project) -> None:
    for image in there.new(40):
        there.said.like(there.said.sample(image, label=0), "zoe")
    for image in there.new(40):
        there.said.like(there.said.sample(image, label=1), *PEOPLE)
    report = there.curate({"feedback.max_rater_share": 0.05, "feedback.min_liked": 0.6, "feedback.max_generated_share": 0.5})
    number = Counter(row["label"] for row in rows())
    assert number[0] == 10  # 5 % of 200 rows, zoe's alone
    assert number[1] == 30  # three people's
    assert report["refused"] == {"over the rater's part": 40}


def test_who_is_at_the_limit_keeps_nobody_else_from_being_heard() -> None:
    parts = Parts(2)
    assert [parts.take(["greedy"]) for _ in range(3)] == [True, True, False]
    assert parts.take(["greedy", "ann"])
    assert parts.moved == {"greedy": 2, "ann": 1}
    assert [parts.take(["ann", "bob"]) for _ in range(4)] == [True, True, True, False]
    assert max(parts.moved.values()) <= 2


def test_what_was_drawn_too_far_from_real_images_is_no_row(there: Project) -> None:
    for generation, image in enumerate(there.new(5), start=1):
        there.said.like(there.said.sample(image, generation=generation, version=generation), *PEOPLE)
    report = there.curate({"feedback.max_generation": 3})
    assert [row["generation"] for row in rows()] == [1, 2, 3]
    assert (report["generation"], report["refused"]) == (3, {"too deep": 2})


def test_a_copy_of_a_row_or_of_another_sample_is_no_row(there: Project) -> None:
    new = there.new(2)
    dim = np.clip(there.pixels[5].astype(int) + 1, 0, 255).astype(np.uint8)
    for image in (there.pixels[0], there.pixels[-1], dim, new[0], new[0], new[1]):
        there.said.like(there.said.sample(image), *PEOPLE)
    report = there.curate()
    assert report["rows_generated"] == 2
    assert report["refused"] == {"exact_copy": 3, "near_copy": 1}


def test_copies_of_rows_that_came_in_another_size_are_found(there: Project) -> None:
    """The facts of data/raw, of other pixels, do not show them."""

    def small(image: np.ndarray) -> np.ndarray:
        return np.asarray(images.from_array(image).resize((8, 8), images.FILTERS["bicubic"]))[:, :, None]

    there.write_rows([small(image) for image in there.pixels])
    copy = small(there.pixels[3])
    there.said.like(there.said.sample(np.where(copy > 128, copy - 1, copy).astype(np.uint8)), *PEOPLE)
    assert there.curate({"image.size": 8})["refused"] == {"near_copy": 1}


def test_what_shows_nothing_is_no_row(there: Project) -> None:
    for grey in (0, 120):
        there.said.like(there.said.sample(np.full((16, 16, 1), grey, np.uint8)), *PEOPLE)
    assert there.curate()["refused"] == {"brightness": 1, "contrast": 1}


def test_rules_on_sizes_are_not_about_what_is_drawn(there: Project) -> None:
    """Images of 40 pixels and more come in, and are brought to 16."""
    for image in there.new(2):
        there.said.like(there.said.sample(image), *PEOPLE)
    measured = facts.read(paths.FACTS / "facts.parquet")
    measured["width"] = measured["height"] = 40
    facts.write(measured, paths.FACTS / "facts.parquet")
    rules = [{"rule": "too_small", "side": 40}, {"rule": "near_copy"}]
    report = there.curate({"validate.hard": {"side": [40, None]}, "clean.rules": rules})
    assert (report["rows_generated"], report["refused"]) == (2, {})


def test_classes_ask_for_a_label_that_there_is(there: Project) -> None:
    for image, label in zip(there.new(3), (None, 2, 1), strict=True):
        there.said.like(there.said.sample(image, label=label), *PEOPLE)
    report = there.curate()
    assert (report["rows_generated"], report["refused"]) == (1, {"no label": 1, "unknown label": 1})


def test_without_classes_there_is_one_budget(without_classes: Project) -> None:
    for image in without_classes.new(60):
        without_classes.said.like(without_classes.said.sample(image, label=None), *PEOPLE)
    report = without_classes.curate(ALONE)
    assert (report["rows_generated"], report["refused"]) == (50, {"over budget": 10})
    assert {row["label"] for row in rows()} == {None}


def test_a_sample_of_another_form_is_brought_to_the_rows_form(there: Project) -> None:
    there.said.like(there.said.sample(there.new(1, size=32, channels=3)[0]), *PEOPLE)
    there.curate()
    assert images.decode_png(rows()[0]["image"]["bytes"]).shape == (16, 16, 1)
    assert images.decode_png(table("samples")[0]["image"]).shape == (16, 16, 1)


def test_votes_on_what_nobody_can_see_any_more_are_set_aside(there: Project) -> None:
    there.said.like(there.said.sample(None), *PEOPLE)
    report = there.curate()
    assert (report["votes"], report["votes_set_aside"], report["samples"], report["rows_in"]) == (3, 3, 0, 0)
    assert raters()["ann"]["set_aside"] == "no picture: 1"
