"""reference: what is kept from the extractor, what is stored, and that small data and few of a class are enough."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipelines import catalogue, reference
from pipelines.core import reports
from pipelines.core.project import Project
from pipelines.features.base import ExtractorSettings
from pipelines.features.random import Random
from pipelines.scoring import benchmark, views
from tests.conftest import MakeParams
from tests.contracts import pictures, write_rows


class Learner(Random):
    """Remembers what it was given to learn from; its features are the random network's."""

    learns = True
    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Any:
        Learner.images, Learner.labels = images, labels
        return super().fit(images, labels, classes, settings)


def ids(count: int) -> np.ndarray:
    return np.array([f"{number:064x}" for number in range(count)], dtype=object)


def test_a_fifth_is_kept_from_the_extractor_whatever_the_order() -> None:
    names, labels = ids(2000), np.arange(2000) % 10
    unseen = reference.choose_unseen(names, labels)
    assert 340 < np.count_nonzero(unseen) < 460
    order = np.random.default_rng(0).permutation(2000)
    assert (reference.choose_unseen(names[order], labels[order]) == unseen[order]).all()


def test_no_more_than_the_most_are_kept_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MOST_UNSEEN", 100)
    unseen = reference.choose_unseen(ids(2000), np.full(2000, -1))
    assert np.count_nonzero(unseen) == 100


def test_no_class_vanishes_from_what_it_learns_from() -> None:
    labels = np.arange(1000) // 2  # two rows of a class
    unseen = reference.choose_unseen(ids(1000), labels)
    assert unseen.any()
    assert set(labels[~unseen]) == set(labels)
    alone = reference.choose_unseen(ids(1000), np.arange(1000))
    assert not alone.any()


def test_of_thirty_rows_the_extractor_gets_all() -> None:
    assert not reference.choose_unseen(ids(30), np.full(30, -1)).any()


def test_all_unseen_rows_are_stored_and_the_rest_by_row_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MOST_TRAIN", 10)
    names, unseen = ids(40)[::-1], np.arange(40) % 8 == 0
    stored = reference.choose_stored(names, unseen)
    assert set(np.flatnonzero(unseen)) <= set(stored.tolist())
    assert names[stored].tolist() == sorted(names[stored])
    assert len(stored) == 10


@pytest.mark.parametrize(("rows", "kept"), [(700, True), (40, False)])
def test_the_extractor_learns_only_from_what_is_called_learned(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, rows: int, kept: bool
) -> None:
    monkeypatch.setitem(catalogue.FEATURES, "random", "tests.test_reference:Learner")
    images = pictures(rows, 8, 1)
    splits = ["holdout" if number % 4 == 0 else "train" for number in range(rows)]
    write_rows(project.clean, images, [number % 3 for number in range(rows)], ["a", "b", "c"], splits=splits)
    reference.run(project, make_params({"image.size": 8, "reference.extractor": "random"}))

    pinned = benchmark.read_pinned(project.reference)
    assert pinned.train is not None
    assert pinned.learned is not None
    assert len(Learner.images) == len(Learner.labels) == np.count_nonzero(pinned.learned)
    assert (~pinned.learned).any() == kept
    report = reports.read(project.reports, "reference")
    assert report["learned_from"] == len(Learner.images)
    assert report["learned_from"] + report["not_learned_from"] == len(pinned.train.vectors)

    held_out = images[::4]
    chosen = views.pixel_rows(len(held_out))
    assert pinned.pixels is not None
    assert sorted(map(bytes, pinned.pixels)) == sorted(map(bytes, views.pixels(held_out[chosen])))
    assert pinned.pixel_labels is not None
    assert len(pinned.pixel_labels) == len(chosen)


def test_an_extractor_that_learns_nothing_has_learned_from_no_row(project: Project, make_params: MakeParams) -> None:
    splits = ["holdout" if number % 4 == 0 else "train" for number in range(40)]
    write_rows(project.clean, pictures(40, 8, 1), [None] * 40, splits=splits)
    reference.run(project, make_params({"image.size": 8, "reference.extractor": "random"}))
    assert benchmark.read_pinned(project.reference).learned is None
    assert json.loads((project.reports / "reference.json").read_text())["learned_from"] == 0
