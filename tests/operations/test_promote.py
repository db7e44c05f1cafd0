"""The noise floor is measured where a verdict rests on it, and only there."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from operations.promote import needs_noise_floor
from pipelines.core import files
from pipelines.core.project import Project
from pipelines.promotion.decisions import Contest
from pipelines.scoring import approval
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
    assert not needs_noise_floor(project, make_params(), contest())  # whose rule of approval asks for no gain
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
