"""Copies: which rows show one picture, which labels contradict each other, and which copy is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipelines.core import facts
from pipelines.rules import copies
from pipelines.rules.blank import Blank
from pipelines.rules.near_copy import NearCopy

NEAR = NearCopy(rule="near_copy", distance=0)


def table(pictures: str, labels: list[int] | None = None, hashes: list[int] | None = None) -> facts.Facts:
    """Facts of rows; equal letters of `pictures` are equal pixels."""
    rows = np.zeros(len(pictures), facts.FACT)
    rows["id"] = [letter.encode() for letter in pictures]
    rows["label"] = -1 if labels is None else labels
    rows["hash"] = np.arange(1, len(pictures) + 1) if hashes is None else hashes
    rows["contrast"] = 50
    return rows


def test_rows_with_equal_pixels_show_one_picture_whatever_the_rules_are() -> None:
    assert copies.groups_of(table("abacab"), []).tolist() == [0, 1, 0, 3, 0, 1]


def test_a_copy_of_a_copy_shows_the_same_picture() -> None:
    """a = a by pixels, near b, which is equal to the last row: one picture, although no rule alone finds that."""
    rows = table("xabbya", hashes=[1, 2, 2, 3, 4, 5])
    assert copies.groups_of(rows, [NEAR]).tolist() == [0, 1, 1, 1, 4, 1]
    assert copies.groups_of(rows, []).tolist() == [0, 1, 2, 2, 4, 1]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_the_connected_components_of_any_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = random.integers(0, 40, (30, 2))
    groups = np.arange(40)
    for block in np.array_split(pairs, 4):
        copies.join(groups, block[:, 0], block[:, 1])
    expected = list(range(40))
    for _ in range(40):
        for one, other in pairs.tolist():
            expected[one] = expected[other] = min(expected[one], expected[other])
    assert groups.tolist() == expected


def test_what_another_rule_refuses_contradicts_nothing() -> None:
    rows = table("aabb", [0, 1, 0, 1])
    rows["contrast"][:2] = 0
    groups = copies.groups_of(rows, [Blank(rule="blank", contrast=2.0)])
    assert groups.tolist() == [0, 1, 2, 2]
    assert copies.label_conflicts(groups, rows["label"]).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("labels", "neither", "majority"),
    [
        ([0, 0, 0], "...", "..."),
        ([0, -1, 0], "...", "..."),
        ([-1, -1, -1], "...", "..."),
        ([0, 1, -1], "xxx", "xxx"),
        ([1, 0, 1], "xxx", ".x."),
        ([0, 1, 2], "xxx", "xxx"),
        ([0, 1, 1, -1], "xxxx", "x..."),
        ([2, 0, 1, 1, 0], "xxxxx", "xxxxx"),
    ],
)
def test_labels_that_contradict_each_other_are_refused_in_any_order_of_reading(
    labels: list[int], neither: str, majority: str
) -> None:
    for order in itertools.permutations(range(len(labels))):
        shuffled = np.array(labels)[list(order)]
        groups = np.zeros(len(labels), int)
        for resolution, expected in (("neither", neither), ("majority", majority)):
            refused = copies.refused_labels(groups, shuffled, resolution)  # type: ignore[arg-type]
            assert ["x" if one else "." for one in refused] == [expected[place] for place in order]


def test_each_picture_has_a_majority_of_its_own() -> None:
    groups, labels = np.array([0, 1, 0, 1, 0, 1, 6]), np.array([0, 5, 0, 5, 1, 4, 3])
    assert copies.refused_labels(groups, labels, "majority").tolist() == [False] * 4 + [True, True, False]


def test_held_out_copies_are_kept_before_others_and_then_those_with_a_label() -> None:
    rows = table("abcde", [-1, 0, -1, 2, 1])
    rows["held_out"] = [False, False, True, True, False]
    assert copies.preferred_first(rows).tolist() == [3, 2, 1, 4, 0]
