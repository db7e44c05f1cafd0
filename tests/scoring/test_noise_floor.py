"""The noise floor: how far two trainings of one configuration differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import approval, generated, noise_floor
from pipelines.scoring.approval import ApprovalModel
from pipelines.scoring.generated import GeneratedSamples
from pipelines.scoring.noise_floor import NoiseFloor


def test_19_of_20_retrainings_are_better_than_another_by_the_floor_or_less() -> None:
    """Over many floors, each measured on four trainings, as the differences that it is held against are."""
    random = np.random.default_rng(0)
    within = []
    for _ in range(4000):
        measured = NoiseFloor("b", [{"fid": value} for value in random.normal(10, 2, 4)])
        new, old = random.normal(10, 2, 2)
        within.append(new - old <= measured.floor("fid"))
    assert np.mean(within) == pytest.approx(0.95, abs=0.012)


def test_a_score_that_hardly_any_training_has_no_floor() -> None:
    found = NoiseFloor("b", [{"fid": 1.0, "kid": 0.1}, {"fid": 2.0}])
    assert found.floor("fid") == pytest.approx(6.3138 * 1.0, rel=1e-4)  # t(0.95, 1) √2 · √½
    assert found.floor("kid") is found.floor("recall") is None


def test_it_is_read_as_it_is_written(tmp_path: Path) -> None:
    place = tmp_path / "noise.json"
    assert noise_floor.read(place) is None
    place.write_text('{"benchmark_id": "b", "samples": 9, "trainings": [{"seed": 1, "scores": {"fid": 3}}]}')
    assert noise_floor.read(place) == NoiseFloor("b", [{"fid": 3.0}], (1,))
    for damaged in ("{", '{"benchmark_id": "b"}', '{"benchmark_id": "b", "trainings": [3]}', "[]"):
        place.write_text(damaged)
        with pytest.raises(InputError, match="measure it again"):
            noise_floor.read(place)


def samples(benchmark_id: str, level: float) -> GeneratedSamples:
    """Forty, of one number each that is as large as `level` on average."""
    vectors = level + np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32)
    return GeneratedSamples(benchmark_id, 0, Features(vectors, None), np.zeros((40, 0), np.float32), None, None)


def keep(project: Project, benchmark_id: str) -> None:
    places = {seed: project.root / f"{seed}.npz" for seed in (3, 4)}
    for seed, place in places.items():
        generated.write(place, samples(benchmark_id, seed - 3.0))
    noise_floor.keep_samples(project, places)


def test_scores_that_depend_on_what_people_like_are_measured_anew_by_kept_samples(project: Project) -> None:
    floor = NoiseFloor("b", [{"fid": 1.0, "approval": 0.1}, {"fid": 2.0, "approval": 0.1}], (3, 4))
    pinned = Benchmark("b", [], samples("b", 0.0).features, np.full(40, -1, np.int32), None, False)
    metrics = ["fid", "approval"]
    assert noise_floor.by_present_taste(project, floor, pinned, metrics) == floor  # no samples are kept
    keep(project, "b")
    approval.write(project.approval, {}, ApprovalModel(np.array([2.0]), 0.0, "b"))
    found = noise_floor.by_present_taste(project, floor, pinned, metrics)
    assert [scores["fid"] for scores in found.trainings] == [1.0, 2.0]
    assert 0.4 < found.trainings[0]["approval"] < 0.6 < 0.75 < found.trainings[1]["approval"]
    assert noise_floor.by_present_taste(project, floor, pinned, ["fid"]) == floor


def test_samples_by_another_benchmark_or_of_other_trainings_are_not_taken(project: Project) -> None:
    floor = NoiseFloor("b", [{"fid": 1.0}, {"fid": 2.0}], (3, 4))
    keep(project, "another")
    assert noise_floor.read_samples(project, floor) is None
    keep(project, "b")
    assert noise_floor.read_samples(project, floor) is not None
    assert noise_floor.read_samples(project, replace(floor, seeds=(3, 5))) is None
