"""A version's kept draws are used where they fit; else it draws again as it would be drawn now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.promotion.candidates import Candidate, Sight
from pipelines.scoring import generated
from pipelines.scoring.image_sets import Form
from tests.conftest import MakeParams
from tests.promotion import fakes
from tests.promotion.fakes import FIRST, PINNED, Registry

SIGHT = Sight(PINNED, Form(8, 1), walked=True)


@pytest.fixture
def registry(project: Any, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return fakes.install(monkeypatch)


@pytest.fixture
def candidate(registry: Registry, make_params: MakeParams) -> Any:
    params = make_params({"evaluate.seed": FIRST, "evaluate.samples": 200})
    return lambda number=1, sight=SIGHT, changes=None: Candidate(
        make_params({"evaluate.seed": FIRST, "evaluate.samples": 200, **changes}) if changes else params,
        number,
        sight,
        registry.said.append,
    )


def equal(a: generated.Draws, b: generated.Draws) -> bool:
    assert a.steps is not None
    assert b.steps is not None
    assert a.labels is not None
    assert b.labels is not None
    pairs = [(a.features.vectors, b.features.vectors), (a.coarse, b.coarse), (a.labels, b.labels)]
    pairs += [(a.steps.here.vectors, b.steps.here.vectors), (a.steps.there.vectors, b.steps.there.vectors)]
    return all(np.array_equal(*pair) for pair in pairs) and (a.first, a.benchmark_id) == (b.first, b.benchmark_id)


def test_what_was_kept_is_what_would_be_drawn_again(registry: Registry, candidate: Any) -> None:
    painter = registry.add(1, 120)
    kept = candidate().draws
    assert (painter.asked, registry.said) == (0, [])
    del registry.stored[1]
    again = candidate().draws
    assert equal(kept, again)
    assert painter.asked == 200
    assert registry.said == ["version 1 is scored again: what it drew is not kept with it", "version 1 draws 200 samples"]


def test_what_does_not_fit_any_more_is_drawn_again(registry: Registry, candidate: Any) -> None:
    painter = registry.add(1, 120)
    stored = registry.stored[1]
    assert isinstance(stored, generated.Draws)
    unfit: list[tuple[generated.Draws | bytes, dict[str, Any], str]] = [
        (replace(stored, benchmark_id="old"), {}, "its scores are by benchmark old, and the benchmark is now now"),
        (stored, {"evaluate.seed": 7}, "it drew 200 samples from seed 1000 on, and evaluate asks for 200 from 7 on now"),
        (stored, {"evaluate.samples": 90}, "it drew 200 samples from seed 1000 on, and evaluate asks for 90 from 1000 on now"),
        (replace(stored, labels=np.zeros(200, np.int32)), {}, "the classes of the held-out rows have changed"),
        (replace(stored, steps=None), {}, "path_length is asked for now"),
        (b"PK damaged", {}, "what it drew is not kept with it"),
    ]
    for kept, changes, why in unfit:
        registry.stored[1], painter.asked = kept, 0
        found = candidate(changes=changes).draws
        count = changes.get("evaluate.samples", 200)
        assert (painter.asked, len(found), found.first) == (count, count, changes.get("evaluate.seed", FIRST))
        assert found.benchmark_id == PINNED.id
        assert registry.said[-2] == f"version 1 is scored again: {why}"


def test_steps_are_only_walked_where_they_are_needed_and_can_be(registry: Registry, candidate: Any) -> None:
    registry.add(1, 120, kept=False)
    assert candidate(sight=replace(SIGHT, walked=False)).draws.steps is None
    fixed = registry.painters[1]
    fixed.walk = None  # type: ignore[assignment, method-assign]
    assert candidate(sight=replace(SIGHT, walked=False)).draws.steps is None


def test_more_samples_are_of_the_seeds_that_follow_and_of_the_holdout_s_classes(registry: Registry, candidate: Any) -> None:
    registry.add(1, 120)
    found = candidate()
    found.more(100)
    assert (found.draws.first, len(found.draws)) == (FIRST, 300)
    assert len(np.unique(found.draws.features.vectors, axis=0)) == 300
    assert found.draws.labels.mean() == pytest.approx(PINNED.labels.mean(), abs=0.01)
    assert len(found.draws.steps.here.vectors) == 300
    assert found.scores(["fid", "path_length"]).samples == 300


def test_a_version_of_other_settings_is_seen_as_the_benchmark_sees(registry: Registry, candidate: Any) -> None:
    larger = registry.add(1, 120, kept=False, side=12, classes=["b", "a"])
    found = candidate().draws
    assert found.features.vectors.shape == (200, 16)
    assert found.labels is not None
    assert larger.labels[:200] == (1 - found.labels).tolist()  # its classes are numbered the other way round
    fewer = registry.add(2, 120, kept=False, classes=["b", "c"])
    assert set(candidate(2).draws.labels.tolist()) == {1}
    assert set(fewer.labels) == {0}
    registry.add(3, 120, kept=False, classes=["x"])
    assert candidate(3).draws.labels is None
