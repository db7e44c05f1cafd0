"""The noise floor: how far two trainings of one configuration differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.scoring import noise_floor
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
    assert noise_floor.read(place) == NoiseFloor("b", [{"fid": 3.0}])
    for damaged in ("{", '{"benchmark_id": "b"}', '{"benchmark_id": "b", "trainings": [3]}', "[]"):
        place.write_text(damaged)
        with pytest.raises(InputError, match="measure it again"):
            noise_floor.read(place)
