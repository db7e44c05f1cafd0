"""A version's kept draws are used where they fit; else it draws again as it would be drawn now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.core.form import Form
from pipelines.core.project import Project
from pipelines.promotion.gate import Conditions, Contender
from pipelines.scoring import generated
from tests.conftest import MakeParams
from tests.promotion import fakes
from tests.promotion.fakes import FIRST, PINNED, PainterRegistry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> PainterRegistry:
    return fakes.install(monkeypatch)


@pytest.fixture
def contender(project: Project, registry: PainterRegistry, make_params: MakeParams) -> Any:
    params = make_params({"evaluate.seed": FIRST, "evaluate.samples": 200})
    return lambda number=1, with_steps=True, changes=None: Contender(
        make_params({"evaluate.seed": FIRST, "evaluate.samples": 200, **changes}) if changes else params,
        registry,  # type: ignore[arg-type]
        registry.version(number),
        Conditions(project, PINNED, Form(8, 1), with_steps),
        registry.log.append,
    )


def equal(a: generated.GeneratedSamples, b: generated.GeneratedSamples) -> bool:
    assert a.steps is not None
    assert b.steps is not None
    assert a.labels is not None
    assert b.labels is not None
    pairs = [(a.features.vectors, b.features.vectors), (a.summary, b.summary), (a.labels, b.labels)]
    pairs += [(a.steps.start.vectors, b.steps.start.vectors), (a.steps.end.vectors, b.steps.end.vectors)]
    return all(np.array_equal(*pair) for pair in pairs) and (a.first, a.benchmark_id) == (b.first, b.benchmark_id)


def test_what_was_kept_is_what_would_be_drawn_again(registry: PainterRegistry, contender: Any) -> None:
    painter = registry.add(1, 120)
    kept = contender().samples
    assert (painter.asked, registry.log) == (0, [])
    del registry.stored[1]
    again = contender().samples
    assert equal(kept, again)
    assert painter.asked == 200
    assert registry.log == ["version 1 is scored again: its samples are not kept with it", "version 1 generates 200 samples"]


def test_what_does_not_fit_any_more_is_drawn_again(registry: PainterRegistry, contender: Any) -> None:
    painter = registry.add(1, 120)
    stored = registry.stored[1]
    assert isinstance(stored, generated.GeneratedSamples)
    unfit: list[tuple[generated.GeneratedSamples | bytes, dict[str, Any], str]] = [
        (replace(stored, benchmark_id="old"), {}, "its scores are by benchmark old, and the benchmark is now now"),
        (stored, {"evaluate.seed": 7}, "it has 200 samples from seed 1000 on, and evaluate asks for 200 from 7 on now"),
        (stored, {"evaluate.samples": 90}, "it has 200 samples from seed 1000 on, and evaluate asks for 90 from 1000 on now"),
        (replace(stored, labels=np.zeros(200, np.int32)), {}, "the classes of the held-out rows have changed"),
        (replace(stored, steps=None), {}, "steps through its latent space are asked for now"),
        (b"PK damaged", {}, "its samples are not kept with it"),
    ]
    for kept, changes, why in unfit:
        registry.stored[1], painter.asked = kept, 0
        found = contender(changes=changes).samples
        count = changes.get("evaluate.samples", 200)
        assert (painter.asked, len(found), found.first) == (count, count, changes.get("evaluate.seed", FIRST))
        assert found.benchmark_id == PINNED.id
        assert registry.log[-2] == f"version 1 is scored again: {why}"


def test_steps_are_only_walked_where_they_are_needed_and_can_be(registry: PainterRegistry, contender: Any) -> None:
    registry.add(1, 120, kept=False)
    assert contender(with_steps=False).samples.steps is None
    fixed = registry.samplers[1]
    fixed.walk = None  # type: ignore[assignment, method-assign]
    assert contender(with_steps=False).samples.steps is None


def test_more_samples_are_of_the_seeds_that_follow_and_of_the_holdout_s_classes(
    registry: PainterRegistry, contender: Any
) -> None:
    registry.add(1, 120)
    found = contender()
    found.generate_more(100)
    assert (found.samples.first, len(found.samples)) == (FIRST, 300)
    assert len(np.unique(found.samples.features.vectors, axis=0)) == 300
    assert found.samples.labels.mean() == pytest.approx(PINNED.labels.mean(), abs=0.01)
    assert len(found.samples.steps.start.vectors) == 300
    assert found.scores(["fid", "path_length"]).samples == 300


def test_a_version_of_other_settings_is_seen_as_the_benchmark_sees(registry: PainterRegistry, contender: Any) -> None:
    larger = registry.add(1, 120, kept=False, side=12, classes=["b", "a"])
    found = contender().samples
    assert found.features.vectors.shape == (200, 16)
    assert found.labels is not None
    assert larger.labels[:200] == (1 - found.labels).tolist()  # its classes are numbered the other way round
    fewer = registry.add(2, 120, kept=False, classes=["b", "c"])
    assert set(contender(2).samples.labels.tolist()) == {1}
    assert set(fewer.labels) == {0}
    registry.add(3, 120, kept=False, classes=["x"])
    assert contender(3).samples.labels is None
