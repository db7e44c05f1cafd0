"""The metrics equal the reference libraries' numbers in references.json, which references.py made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.metrics import density_coverage, fid, inception_score, kid, neighbours, precision_recall
from tests.metrics import references
from tests.metrics.trials import distance, trial

STORED = json.loads(references.STORED.read_text())
TORCH, PRDC = STORED["torch-fidelity"], STORED["prdc"]
MADE = references.made()
DRAWN, REAL = MADE["drawn"], MADE["real"]


def equal(value: float) -> Any:
    return pytest.approx(value, rel=1e-6)


def test_fid_equals_torch_fidelity_s() -> None:
    assert distance(DRAWN, REAL) == equal(TORCH["fid"])


def test_kid_equals_torch_fidelity_s_on_the_same_subsets() -> None:
    random = np.random.RandomState(references.SEED)
    found = []
    for _ in range(references.SUBSETS):
        rows = [random.choice(len(side), references.SUBSET_SIZE, replace=False) for side in (DRAWN, REAL)]
        found.append(kid.score(trial(DRAWN[rows[0]], REAL[rows[1]]))["kid"].value)
    assert np.mean(found) == equal(TORCH["kid"])


def test_inception_score_equals_torch_fidelity_s_on_the_same_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(inception_score.SCORES[0], rows_per_class=0)
    monkeypatch.setattr(inception_score, "SCORES", (few,))
    wide = np.exp(MADE["logits"] - MADE["logits"].max(axis=1, keepdims=True))
    probabilities = wide / wide.sum(axis=1, keepdims=True)
    order = np.random.RandomState(references.SEED).permutation(len(probabilities))
    splits = np.split(probabilities[order], references.SPLITS)
    found = [inception_score.score(trial(DRAWN[: len(split)], REAL, probabilities=split)) for split in splits]
    assert np.mean([scores["inception_score"].value for scores in found]) == equal(TORCH["inception_score"])


def test_precision_and_recall_equal_torch_fidelity_s() -> None:
    found = neighbours.membership(DRAWN, REAL, [references.NEIGHBOURHOOD])
    assert (found.generated_in_real > 0).mean() == equal(TORCH["precision"])
    assert found.real_in_generated.mean() == equal(TORCH["recall"])


def test_all_four_equal_prdc_s() -> None:
    k = references.NEAREST_K
    found = neighbours.membership(DRAWN, REAL, [k])
    assert (found.generated_in_real > 0).mean() == equal(PRDC["precision"])
    assert found.real_in_generated.mean() == equal(PRDC["recall"])
    assert found.generated_in_real.mean() / k == equal(PRDC["density"])
    assert found.real_reached.mean() == equal(PRDC["coverage"])


def test_the_scores_are_made_of_these_with_the_papers_neighbourhoods() -> None:
    made = trial(DRAWN, REAL)
    scores = precision_recall.score(made) | density_coverage.score(made) | fid.score(made)
    expected = {
        "precision": TORCH["precision"],
        "recall": TORCH["recall"],
        "density": PRDC["density"],
        "coverage": PRDC["coverage"],
        "fid": TORCH["fid"],
    }
    for name, value in expected.items():
        assert scores[name].value == equal(value), name
