"""The noise floor is measured where a verdict rests on it, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operations.promote import judge_without_noise, needs_noise_floor
from pipelines.core import files
from pipelines.core.project import Project
from pipelines.metrics.intervals import Interval
from pipelines.promotion import decisions, gate, rules
from pipelines.promotion.decisions import Contest
from pipelines.promotion.gate import GateResult
from pipelines.scoring import approval, noise_floor
from pipelines.settings.schema import PromotionRule
from tests.support.fake_registry import FakeRegistry
from workspace import dvc


def contest(champion: int | None = 2) -> Contest:
    registry = FakeRegistry()
    return Contest(registry.version(3), registry.version(champion) if champion else None)


def test_a_floor_from_before_people_s_taste_was_known_is_measured_anew(
    project: Project, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ["fresh"]
    monkeypatch.setattr(dvc, "noise_state", lambda _: state[0])
    asked = make_params({"promotion.rules": [{"metric": "approval", "kind": "better"}]})
    trainings = [{"seed": seed, "scores": {"fid": 1.0 + seed}} for seed in range(2)]
    files.write(project.noise_floor, json.dumps({"benchmark_id": "b", "trainings": trainings}))
    assert not needs_noise_floor(project, asked, contest())
    approval.write(project.approval, {}, approval.ApprovalModel(np.ones(3), 0.0, "b"))
    assert needs_noise_floor(project, asked, contest())
    monkeypatch.setattr(noise_floor, "read_samples", lambda *_: [])  # with kept samples nothing has to be trained
    assert not needs_noise_floor(project, asked, contest())
    monkeypatch.undo()
    monkeypatch.setattr(dvc, "noise_state", lambda _: state[0])
    no_gain = make_params({"promotion.rules": [{"metric": "approval", "kind": "not_worse", "margin": 0.02}]})
    assert not needs_noise_floor(project, no_gain, contest())
    for number, training in enumerate(trainings):
        training["scores"]["approval"] = 0.5 + number / 10
    files.write(project.noise_floor, json.dumps({"benchmark_id": "b", "trainings": trainings}))
    assert not needs_noise_floor(project, asked, contest())
    assert not needs_noise_floor(project, asked, contest(champion=None))
    state[0] = "stale"
    assert needs_noise_floor(project, make_params(), contest())
    assert not needs_noise_floor(project, make_params({"promotion.noise": 0}), contest())
    bounds = [{"metric": "memorisation", "kind": "at_most", "margin": 0.6}]
    assert not needs_noise_floor(project, make_params({"promotion.rules": bounds}), contest())


BETTER = PromotionRule(metric="fid", kind="better")
NOT_WORSE = PromotionRule(metric="recall", kind="not_worse", margin=0.1)
AT_MOST = PromotionRule(metric="memorisation", kind="at_most", margin=0.65)


@pytest.mark.parametrize(
    ("fid", "recall", "memorisation", "decided"),
    [
        ((1.0, 2.0), (0.0, 0.1), (0.5, 0.6), True),  # surely not better
        ((-2.0, -1.0), (0.0, 0.1), (0.7, 0.8), True),  # surely a copy
        ((-2.0, -1.0), (-0.5, -0.4), (0.5, 0.6), False),  # surely worse, perhaps by the luck of its seed
        ((-2.0, -1.0), (0.0, 0.1), (0.5, 0.6), False),  # surely better, perhaps by the luck of its seed
        ((-2.0, 1.0), (0.0, 0.1), (0.5, 0.6), False),  # more samples are needed
        ((1.0, 2.0), (-0.5, -0.4), (0.5, 0.6), True),
    ],
)
def test_no_noise_is_measured_where_no_floor_could_change_the_verdict(
    project: Project,
    make_params: Any,
    monkeypatch: pytest.MonkeyPatch,
    fid: tuple[float, float],
    recall: tuple[float, float],
    memorisation: tuple[float, float],
    decided: bool,
) -> None:
    def judge_with(floor: float) -> GateResult:
        results = [
            rules.judge_difference(BETTER, sum(fid) / 2, Interval(*fid), floor),
            rules.judge_difference(NOT_WORSE, sum(recall) / 2, Interval(*recall), floor),
            rules.judge_limit(AT_MOST, sum(memorisation) / 2, Interval(*memorisation)),
        ]
        return GateResult(rules.combine(results, champion=True), 2, 3, "abc", 1500, results, 0)

    def judge(_: Project, asked: Any, *__: Any) -> GateResult:
        assert (asked.promotion.noise, asked.promotion.max_samples) == (0, asked.evaluate.samples)  # only a look
        return judge_with(0.0)

    monkeypatch.setattr(gate, "judge", judge)
    files.write(project.reports / "reference.json", '{"benchmark_id": "abc"}')
    params = make_params()
    found = judge_without_noise(project, params, FakeRegistry(), contest())  # type: ignore[arg-type]
    assert (found is not None) == decided
    by_floor = {judge_with(floor).verdict for floor in (0.0, 0.01, 0.5, 1.5, 100.0)}
    if found is not None:
        assert found.verdict == "reject"
        assert by_floor == {"reject"}
        assert found.basis == decisions.basis(project, params, contest())  # so it is found again and not judged anew
    else:
        assert by_floor != {"reject"}


@pytest.mark.parametrize(
    ("fid", "recall", "decided"),
    [
        ((1.0, 2.0), (-0.5, -0.4), True),  # surely neither better by the one nor by the other
        ((1.0, 2.0), (0.1, 0.2), False),  # one part does not hold, but the other does
        ((1.0, 2.0), (-0.1, 0.2), False),
    ],
)
def test_a_part_of_an_any_that_does_not_hold_decides_nothing_alone(
    project: Project,
    make_params: Any,
    monkeypatch: pytest.MonkeyPatch,
    fid: tuple[float, float],
    recall: tuple[float, float],
    decided: bool,
) -> None:
    parts = {BETTER: fid, PromotionRule(metric="recall", kind="better"): recall}
    results = [replace(rules.judge_difference(rule, sum(ends) / 2, Interval(*ends)), group=1) for rule, ends in parts.items()]
    verdict = GateResult(rules.combine(results, champion=True), 2, 3, "abc", 1500, results, 0)
    monkeypatch.setattr(gate, "judge", lambda *_: verdict)
    files.write(project.reports / "reference.json", '{"benchmark_id": "abc"}')
    found = judge_without_noise(project, make_params(), FakeRegistry(), contest())  # type: ignore[arg-type]
    assert (found is not None) == decided
    if found is not None:
        assert found.reason() == "fid: surely not better; recall: surely not better"
        assert [row["rule"] for row in decisions.table_rows(found)] == ["any 1: better", "any 1: better"]
