"""The yardstick's own test: the ladder of disturbances, and what is made of the scores."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import instrument, ladder, ranks, yardstick
from benchmarks.instrument import DividedRows
from benchmarks.ranks import Model
from benchmarks.yardstick import KindScores, Scored
from pipelines.features import disturbances


@pytest.fixture(scope="module")
def digits() -> DividedRows:
    return instrument.read("digits", 600)


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 200, (12, 8, 8, 3), dtype=np.uint8)


def test_rows_are_divided_without_overlap(digits: DividedRows) -> None:
    parts = [{image.tobytes() for image in part.images} for part in (digits.learned, digits.unseen, digits.holdout)]
    assert sum(map(len, parts)) == len(set.union(*parts)) > 590
    assert [round(len(part) / 600, 1) for part in parts] == [0.6, 0.2, 0.2]


@pytest.mark.parametrize("name", ladder.KINDS)
def test_a_stronger_disturbance_changes_images_more(name: str, digits: DividedRows) -> None:
    kind, images = ladder.KINDS[name], digits.unseen.images
    changes = [np.abs(kind(images, strength).astype(int) - images).mean() for strength in kind.strengths]
    assert changes[0] > 0.1  # of a grey: none is without effect
    assert changes == sorted(changes)
    assert kind.reference in kind.strengths


@pytest.mark.parametrize("name", ladder.KINDS)
def test_a_disturbance_keeps_shape_and_type_and_its_input(name: str, colour: np.ndarray) -> None:
    kind, before = ladder.KINDS[name], colour.copy()
    found = kind(colour, kind.reference)
    assert (found.shape, found.dtype) == (colour.shape, np.uint8)
    assert np.array_equal(found, kind(colour, kind.reference))
    assert np.array_equal(colour, before)


def test_every_kind_that_the_extractor_is_taught_is_on_the_ladder_and_none_beyond_is_called_taught() -> None:
    taught = [name for name, kind in ladder.KINDS.items() if kind.group != "never taught"]
    assert len(taught) == len(disturbances.KINDS)
    assert not set(disturbances.KINDS) & (set(ladder.KINDS) - set(taught))


def test_shuffled_patches_are_the_same_patches_elsewhere(colour: np.ndarray) -> None:
    found = ladder.shuffle(colour, 100, np.random.default_rng(0))
    assert np.array_equal(np.sort(found.reshape(12, -1)), np.sort(colour.reshape(12, -1)))
    assert not (found[:, :4, :4] == colour[:, :4, :4]).all(axis=(1, 2, 3)).any()


def test_halves_are_of_two_images() -> None:
    plain = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None, None], (10, 8, 8, 1))
    found = ladder.join(plain, 50, np.random.default_rng(0))
    for number, image in enumerate(found):
        assert (image == number).mean() == 0.5
        assert len(np.unique(image)) == 2


def test_no_image_is_its_own_partner() -> None:
    partners = ladder.partners(50, np.random.default_rng(0))
    assert sorted(partners) == list(range(50))
    assert not (partners == np.arange(50)).any()


def kind_scores(name: str, fid: float, precision: float, fids: list[float]) -> KindScores:
    return KindScores(name, fids, Scored(fid, precision, 0.5), Scored(2.0, 0.9, 0.9))


def test_bars_hold_at_five_floors_and_at_four_fifths_of_the_precision() -> None:
    rising = [1.0, 2.0, 3.0, 4.0]
    assert kind_scores("blur", 10.0, 0.72, rising).seen_by_fid
    assert not kind_scores("blur", 9.9, 0.72, rising).seen_by_fid
    assert kind_scores("blur", 10.0, 0.71, rising).seen_by_precision
    assert not kind_scores("blur", 10.0, 0.73, rising).seen_by_precision
    assert kind_scores("blur", 10.0, 0.7, rising).in_order
    assert not kind_scores("blur", 10.0, 0.7, [1.0, 3.0, 2.0, 4.0]).in_order


def test_a_bar_names_the_kinds_that_miss_it() -> None:
    kinds = [kind_scores(name, fid, 0.1, [1, 2, 3, 4]) for name, fid in (("blur", 20.0), ("noise", 3.0), ("blend", 20.0))]
    assert yardstick.bar(kinds, lambda scores: scores.seen_by_fid, 1) == "missed: 2 of 3; not noise"
    assert yardstick.bar(kinds, lambda scores: scores.seen_by_fid, 0.6) == "reached: 2 of 3; not noise"
    assert yardstick.bar([], lambda scores: True, 1) == "not tried"


def test_digits_are_scored_by_the_random_extractor(capsys: pytest.CaptureFixture[str]) -> None:
    (outcome,) = yardstick.score("digits", 1000, ["random"], [True, False], 1, ["noise", "patches"], apart=False)
    patches = outcome.kinds[1]
    assert patches.seen_by_fid
    assert patches.seen_by_precision
    assert patches.in_order
    printed = capsys.readouterr().out
    assert "| patches (never taught) | 15, 30, 60, **100** % of patches shuffled |" in printed
    assert "| digits, random | " in "\n".join(yardstick.summary([outcome]))


def test_an_unknown_data_set_or_a_missing_path_stops_with_what_to_do() -> None:
    with pytest.raises(SystemExit, match="did you mean 'digits'"):
        instrument.read("digit", 10)
    with pytest.raises(SystemExit, match="mnist=PATH"):
        instrument.read("mnist", 10)


def test_ranks_that_agree_correlate_and_a_score_that_errs_does_not() -> None:
    models = [Model("gan", steps, 100 / steps, 1 - steps / 1000, steps / 1000) for steps in (50, 100, 200)]
    models[0] = Model("gan", 50, 2.0, 0.95, 0.9)  # the worst one is called legible
    head, _, line = ranks.table(models)
    found = dict(zip(head.split(" | ")[1:], line.split(" | ")[1:], strict=True))
    assert found["length, FID"] == found["FID, told apart"] == "1.00"
    assert found["length, legible"] == "-0.50"
