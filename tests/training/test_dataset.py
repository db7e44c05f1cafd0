"""The training rows with what feedback makes of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core import shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.scoring import approval
from pipelines.training import dataset
from tests.contracts import pictures, write_feedback, write_rows
from tests.training import rows
from tests.training.rows import TINY

LABELS = [number % 3 for number in range(30)]


def name(number: int) -> str:
    """The row_id that `write_rows` gives."""
    return f"{number:064d}"


def read(project, make_params, conditional: bool = True) -> dataset.Dataset:
    return dataset.read(project, make_params(TINY), conditional)


@pytest.fixture
def filled(project) -> Project:
    write_rows(project.clean, pictures(30, 8, 1), LABELS, rows.CLASSES)
    return project


def test_without_feedback_it_is_the_data_as_it_was(filled, make_params) -> None:
    write_feedback(filled.curated, classes=rows.CLASSES)
    found = read(filled, make_params)
    assert (found.labels.tolist(), found.weights.tolist()) == (LABELS, [1.0] * 30)


def test_rows_of_feedback_are_trained_on_too(filled, make_params) -> None:
    added = pictures(4, 8, 1, seed=1)
    write_rows(filled.curated, added, [2, 2, 1, None], rows.CLASSES)
    write_feedback(filled.curated)
    found = read(filled, make_params)
    assert found.labels.tolist() == [*LABELS, 2, 2, 1]
    assert np.array_equal(found.images[30:], added[:3])
    assert found.unlabelled == 1


def test_a_reported_row_is_left_out_and_a_corrected_label_stands(filled, make_params) -> None:
    changes = [{"row_id": name(3), "removed": True}, {"row_id": name(4), "label": 0}, {"row_id": name(99), "label": 1}]
    write_feedback(filled.curated, changes, classes=rows.CLASSES)
    found = read(filled, make_params)
    assert found.labels.tolist() == [*LABELS[:3], 0, *LABELS[5:]]
    assert np.array_equal(found.images[3], pictures(30, 8, 1)[4])


def test_the_approval_weighs_the_rows_that_it_names(filled, make_params) -> None:
    write_feedback(filled.curated, [{"row_id": name(0), "removed": True}], classes=rows.CLASSES)
    filled.approval.mkdir(parents=True)
    ids = np.array([name(number) for number in reversed(range(20))])
    approval.write_weights(approval.weights_file(filled.approval), ids, np.linspace(0.1, 2.0, 20), np.full(20, 0.5))
    expected = [*np.linspace(0.1, 2.0, 20)[::-1][1:], *[1.0] * 10]
    assert read(filled, make_params).weights == pytest.approx(expected, rel=1e-6)


def test_an_unconditional_family_needs_no_label(filled, make_params) -> None:
    write_rows(filled.curated, pictures(2, 8, 1, seed=1), [None, 1])
    write_feedback(filled.curated)
    found = read(filled, make_params, conditional=False)
    assert (len(found), found.classes, set(found.labels.tolist())) == (32, [], {0})


def test_a_stage_that_has_not_run_is_named(filled, make_params) -> None:
    with pytest.raises(InputError, match=r"data/curated.*run"):
        read(filled, make_params)


def test_other_feedback_is_another_training(filled, make_params) -> None:
    write_feedback(filled.curated, classes=rows.CLASSES)
    seen = [dataset.content(filled)]
    write_feedback(filled.curated, [{"row_id": name(3), "removed": True}])
    seen.append(dataset.content(filled))
    with shards.ShardWriter(filled.curated, classes=rows.CLASSES):
        pass
    pq.write_table(pa.table({"a": [1]}), filled.curated / "part-other.parquet")
    seen.append(dataset.content(filled))
    filled.approval.mkdir(parents=True)
    approval.write_weights(approval.weights_file(filled.approval), np.array([name(1)]), np.ones(1), np.ones(1))
    seen.append(dataset.content(filled))
    assert len({tuple(one) for one in seen}) == 4
