"""Samples of a model come back as they were written, and are as good as the images themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.features.base import Features
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import approval, generated, scores, views
from pipelines.scoring.approval import ApprovalModel
from pipelines.scoring.generated import GeneratedSamples


class Seeded:
    """A model whose images are their seeds, and an extractor that reads them off."""

    walks = True

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return np.broadcast_to(seeds[:, None, None, None], (len(seeds), 4, 4, 1)).astype(np.uint8)

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.draw(seeds + (at * (others - seeds)).astype(int), labels)

    def extract(self, images: np.ndarray) -> Features:
        vectors = images[:, 0, 0].astype(np.float32)
        return Features(vectors, np.concatenate([vectors, 255 - vectors], axis=1) / 255)


def some(first: int, count: int, labels: np.ndarray | None = None, with_steps: bool = True) -> GeneratedSamples:
    extractor: Any = Seeded()
    return generated.generate_samples(Seeded(), extractor, "b", first, count, labels, with_steps)[1]


def flat(draws: GeneratedSamples) -> list[Any]:
    """Everything in it."""
    arrays = [draws.features.vectors, draws.features.probabilities, draws.summary, draws.labels]
    arrays += [draws.steps.start.vectors, draws.steps.end.vectors, draws.steps.epsilon] if draws.steps else [None]
    arrays += [draws.pixels, draws.pixel_rows]
    return [draws.benchmark_id, draws.first, *(array if array is None else np.asarray(array).tolist() for array in arrays)]


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    labels = np.array([0, 1, 1], np.int32)
    full = some(5, 3, labels)
    for draws in (full, some(5, 3, with_steps=False), replace(full, features=Features(full.features.vectors, None))):
        generated.write(tmp_path / "drawn.npz", draws)
        assert flat(generated.read(tmp_path / "drawn.npz")) == flat(draws)
        assert len(draws) == 3


def test_what_is_not_whole_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "drawn.npz"
    generated.write(place, some(0, 3))
    whole = place.read_bytes()
    for content in (b"", b"text", whole[:200], whole[: len(whole) // 2]):
        place.write_bytes(content)
        with pytest.raises(InputError, match=r"drawn.npz: no usable samples of a model .* `evaluate` writes them"):
            generated.read(place)
    np.savez(place, vectors=np.zeros((2, 2)))
    with pytest.raises(InputError, match="benchmark_id"):
        generated.read(place)


def test_two_parts_are_what_one_draw_of_both_would_be() -> None:
    joined = generated.join(some(10, 4, np.zeros(4, np.int32)), some(14, 6, np.ones(6, np.int32)))
    at_once = some(10, 10, np.array([0] * 4 + [1] * 6, np.int32), with_steps=False)
    assert flat(replace(joined, steps=None)) == flat(at_once)
    assert joined.steps is not None
    assert len(joined.steps.start.vectors) == 10
    assert generated.join(some(0, 2), some(2, 2, with_steps=False)).steps is None


def test_pixels_are_those_of_the_images_they_are_said_to_be_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST_PIXEL_ROWS", 3)
    joined = generated.join(some(10, 20), some(30, 40))
    candidate = joined.as_features()
    assert candidate.pixels is not None
    assert candidate.pixel_rows is not None
    assert len(candidate.pixels) == 6
    assert (candidate.pixels[:, 0, 0, 0] == 10 + candidate.pixel_rows).all()  # an image is its seed
    assert (candidate.pixel_rows[:3] < 20).all()
    assert (candidate.pixel_rows[3:] >= 20).all()


def test_samples_that_were_kept_without_pixels_are_still_read(tmp_path: Path) -> None:
    older = replace(some(0, 4), pixels=None, pixel_rows=None)
    generated.write(tmp_path / "drawn.npz", older)
    found = generated.read(tmp_path / "drawn.npz")
    assert flat(found) == flat(older)
    assert generated.join(found, some(4, 2)).pixels is None


def test_classes_come_in_the_holdout_s_shares() -> None:
    labels = np.array([2, -1, 0, 0, 0, 2, -1])  # 3 to 2
    for count in (1, 5, 17, 1000):
        asked = generated.holdout_labels(labels, count)
        assert len(asked) == count
        assert abs((asked == 0).sum() - 0.6 * count) <= 1
        assert set(asked.tolist()) <= {0, 2}
    assert generated.holdout_labels(np.array([-1, -1]), 3).tolist() == [0, 0, 0]


def test_what_people_think_of_kept_draws_is_what_they_think_of_the_images(tmp_path: Path) -> None:
    extractor: Any = Seeded()
    labels = np.array([0, 1, 1, 0], np.int32)
    images, draws = generated.generate_samples(Seeded(), extractor, "b", 50, 4, labels, with_steps=False)
    pinned = Benchmark("b", ["x", "y"], draws.features, labels)
    assert generated.comparison(draws, pinned, tmp_path).candidate.approval is None  # nobody has voted yet
    image_views = views.compute(draws.features, images, labels, of_classes=True)
    model = ApprovalModel(np.linspace(-1, 1, image_views.shape[1]), 0.1, "b")
    approval.write(tmp_path, {}, model)
    found = generated.comparison(draws, pinned, tmp_path).candidate.approval
    assert found is not None
    assert found.tolist() == model.predict(image_views).tolist()
    assert len(set(found.tolist())) > 1
    approval.write(tmp_path, {}, replace(model, benchmark_id="before"))
    with pytest.raises(InputError, match="features of benchmark before, but the benchmark is b; run `approval` again"):
        generated.comparison(draws, pinned, tmp_path)


def test_held_out_rows_have_the_weights_that_people_give_them_now(tmp_path: Path) -> None:
    draws = some(50, 3, with_steps=False)
    pinned = Benchmark("b", [], draws.features, np.full(3, -1, np.int32), ids=np.array(["x", "y", "z"]))
    assert generated.comparison(draws, pinned, tmp_path).benchmark.preferred is None  # nobody has voted yet
    weights, place = np.array([0.5, 1.5, 1.0]), approval.holdout_file(tmp_path)
    approval.write_weights(place, np.array(["z", "x", "y"]), weights, weights / 2)
    found = generated.comparison(draws, pinned, tmp_path).benchmark.preferred
    assert found is not None
    assert found.tolist() == [1.5, 1.0, 0.5]
    for ids in (["z", "x"], ["z", "x", "w"], ["z", "x", "y", "w"]):
        approval.write_weights(place, np.array(ids), np.ones(len(ids)), np.ones(len(ids)))
        with pytest.raises(InputError, match=r"holdout.parquet has weights of . held-out rows, .* run `approval` again"):
            generated.comparison(draws, pinned, tmp_path)
    place.write_bytes(b"text")
    with pytest.raises(InputError, match="run `approval` again"):
        generated.comparison(draws, pinned, tmp_path)


class Standing(Seeded):
    """The same model without a way from one image to another."""

    walks = False


def test_a_model_that_cannot_walk_says_so_in_place_of_a_path_length(tmp_path: Path) -> None:
    extractor: Any = Seeded()
    images, samples = generated.generate_samples(Standing(), extractor, "b", 0, 60, None, with_steps=True)
    generated.write(tmp_path / "drawn.npz", samples)
    kept = generated.read(tmp_path / "drawn.npz")
    assert kept.steps is None
    assert generated.join(kept, replace(kept, first=60)).no_steps == samples.no_steps
    holdout = extractor.extract(images)
    found = scores.measure(Comparison(kept.as_features(), Benchmark("b", [], holdout, np.zeros(60, np.int32))), ["path_length"])
    assert found.flat()["not_enough"] == {
        "path_length": "path_length is not to be had: this model's sampler has no `walk` from one image to another"
    }
    assert found.nothing == {"path_length"}  # so a limit on it has nothing to limit
