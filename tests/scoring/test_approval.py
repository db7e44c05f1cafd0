"""What lies in data/approval comes back as it was written, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.scoring import approval
from pipelines.scoring.approval import ApprovalModel

MODEL = ApprovalModel(np.array([1.0, -2.0]), 0.5, "id")


def test_a_model_predicts_by_the_logistic_function() -> None:
    vectors = np.array([[0, 0], [1, 0], [0, 400], [0, -400]], np.float32)
    assert MODEL.predict(vectors) == pytest.approx([0.6224593, 0.8175745, 0.0, 1.0])
    assert MODEL.predict(vectors).dtype == np.float64


def test_all_comes_back(tmp_path: Path) -> None:
    approval.write(tmp_path, {"why": "so"}, MODEL)
    approval.write_weights(approval.weights_file(tmp_path), np.array(["a", "b"]), np.array([0.5, 1.5]), np.array([0.2, 0.8]))
    found = approval.read(tmp_path)
    assert found is not None
    assert np.array_equal(found.direction, MODEL.direction)
    assert (found.bias, found.benchmark_id) == (0.5, "id")
    found_weights = approval.weights(tmp_path)
    assert found_weights is not None
    assert (found_weights[0].tolist(), found_weights[1].tolist()) == (["a", "b"], [0.5, 1.5])
    assert json.loads((tmp_path / "approval.json").read_text()) == {"why": "so"}


def test_where_nothing_is_known_there_is_nothing(tmp_path: Path) -> None:
    assert approval.read(tmp_path) is approval.weights(tmp_path) is None
    approval.write(tmp_path, {"why": "no votes yet"}, None)
    assert approval.read(tmp_path) is approval.weights(tmp_path) is None


def test_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 not really")
    (tmp_path / "weights.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"model.npz: no usable model .* run `approval` again"):
        approval.read(tmp_path)
    with pytest.raises(InputError, match=r"weights.parquet: no usable weights .* run `approval` again"):
        approval.weights(tmp_path)
