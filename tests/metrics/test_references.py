"""The metrics equal the reference libraries' numbers in references.json, which references.py made."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipelines.features.base import Features
from pipelines.metrics import density_coverage, fid, inception_score, kid, neighbours, precision_recall
from pipelines.metrics.base import Trial
from pipelines.metrics.inputs import Benchmark, Drawn
from tests.metrics import references

STORED = json.loads(references.STORED.read_text())
TORCH, PRDC = STORED["torch-fidelity"], STORED["prdc"]
MADE = references.made()
DRAWN, REAL = MADE["drawn"], MADE["real"]


def equal(value: float) -> Any:
    return pytest.approx(value, rel=1e-6)


def test_fid_equals_torch_fidelity_s() -> None:
    assert fid.distance(DRAWN, REAL) == equal(TORCH["fid"])


def test_kid_equals_torch_fidelity_s_on_the_same_subsets() -> None:
    random = np.random.RandomState(references.SEED)
    found = []
    for _ in range(references.SUBSETS):
        rows = [random.choice(len(side), references.SUBSET_SIZE, replace=False) for side in (DRAWN, REAL)]
        found.append(kid.mmd(DRAWN[rows[0]], REAL[rows[1]]))
    assert np.mean(found) == equal(TORCH["kid"])


def test_inception_score_equals_torch_fidelity_s_on_the_same_splits() -> None:
    wide = np.exp(MADE["logits"] - MADE["logits"].max(axis=1, keepdims=True))
    probabilities = wide / wide.sum(axis=1, keepdims=True)
    order = np.random.RandomState(references.SEED).permutation(len(probabilities))
    splits = np.split(probabilities[order], references.SPLITS)
    assert np.mean([inception_score.inception(split) for split in splits]) == equal(TORCH["inception_score"])


def test_precision_and_recall_equal_torch_fidelity_s() -> None:
    found = neighbours.membership(DRAWN, REAL, [references.NEIGHBOURHOOD])
    assert (found.drawn_in_real > 0).mean() == equal(TORCH["precision"])
    assert found.real_in_drawn.mean() == equal(TORCH["recall"])


def test_all_four_equal_prdc_s() -> None:
    k = references.NEAREST_K
    found = neighbours.membership(DRAWN, REAL, [k])
    assert (found.drawn_in_real > 0).mean() == equal(PRDC["precision"])
    assert found.real_in_drawn.mean() == equal(PRDC["recall"])
    assert found.drawn_in_real.mean() / k == equal(PRDC["density"])
    assert found.real_reached.mean() == equal(PRDC["coverage"])


def test_the_scores_are_made_of_these_with_the_papers_neighbourhoods() -> None:
    trial = Trial(Drawn(Features(DRAWN, None), None), Benchmark("id", [], Features(REAL, None), np.full(len(REAL), -1)))
    scores = precision_recall.score(trial) | density_coverage.score(trial) | fid.score(trial)
    expected = {
        "precision": TORCH["precision"],
        "recall": TORCH["recall"],
        "density": PRDC["density"],
        "coverage": PRDC["coverage"],
        "fid": TORCH["fid"],
    }
    for name, value in expected.items():
        assert scores[name].value == equal(value), name
