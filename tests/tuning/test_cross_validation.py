"""No row is trained on in a training that is scored against it, and none that is held out is ever looked at."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core import backend, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.scoring import views
from pipelines.settings.load import load_params, update_params
from pipelines.tuning import cross_validation
from tests.contracts import pictures, write_rows
from tests.tuning.project import ROWS

backend.load()

from pipelines.tuning.trial import Experiment  # noqa: E402


def ids(found) -> set[str]:
    return set(found.astype(str).tolist())


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_no_row_is_on_both_sides(tunable: Project, folds: int) -> None:
    params = update_params(tunable.params_file, settings=[f"tune.folds={folds}"])
    held_out, train = (rows.ids(tunable.clean, split, "real") for split in ("holdout", "train"))
    found = cross_validation.read(tunable, params)
    experiment = Experiment(tunable, params, found)
    assert len(found) == folds
    for cv_fold in found:
        seen = ids(experiment.training_rows(params, True, cv_fold).ids)
        judged = ids(cv_fold.benchmark.ids)
        assert judged == ids(cv_fold.ids)
        assert seen | judged == train
        assert not seen & judged
        assert not judged & held_out
        assert ids(cv_fold.benchmark.train_ids) == seen
        assert len(cv_fold.benchmark.holdout.vectors) == len(cv_fold.benchmark.labels) == len(judged)
    if folds > 1:
        assert sum(len(cv_fold.ids) for cv_fold in found) == len(train), "each row is in one fold"
        assert {row_id for cv_fold in found for row_id in ids(cv_fold.ids)} == train
    else:
        assert 0.1 * len(train) < len(found[0].ids) < 0.3 * len(train)
    assert len({cv_fold.benchmark.id for cv_fold in found}) == folds


def test_features_and_labels_are_those_of_the_rows(tunable: Project) -> None:
    (cv_fold,) = cross_validation.read(tunable, load_params(tunable.params_file))
    every = rows.load(tunable.clean, "train")
    labels = dict(zip(every.ids.tolist(), every.labels.tolist(), strict=True))
    assert cv_fold.benchmark.labels.tolist() == [labels[row_id] for row_id in cv_fold.benchmark.ids.tolist()]
    images = dict(zip(every.ids.tolist(), every.images, strict=True))
    extractor = Experiment(tunable, load_params(tunable.params_file), [cv_fold]).extractor
    seen = extractor.extract(np.stack([images[row_id] for row_id in cv_fold.benchmark.ids.tolist()]))
    assert np.allclose(seen.vectors, cv_fold.benchmark.holdout.vectors, atol=1e-5)
    kept = views.pixel_rows(len(cv_fold.benchmark.labels))
    shown = np.stack([images[row_id] for row_id in cv_fold.benchmark.ids[kept].tolist()])
    assert np.array_equal(cv_fold.benchmark.pixels, views.pixels(shown))
    assert np.array_equal(cv_fold.benchmark.pixel_labels, cv_fold.benchmark.labels[kept])


def test_a_fold_stays_when_the_data_grows_and_another_seed_deals_anew(tunable: Project) -> None:
    params = load_params(tunable.params_file)
    few, many = (np.array([f"{number:064d}" for number in range(count)]) for count in (200, 300))
    (before,), (after,) = cross_validation.assign(few, params), cross_validation.assign(many, params)
    assert after[:200].tolist() == before.tolist()
    (other,) = cross_validation.assign(few, update_params(tunable.params_file, settings=["tune.seed=1"]))
    assert other.tolist() != before.tolist()


def test_rows_of_feedback_are_trained_on_in_every_fold(tunable: Project) -> None:
    for path in tunable.curated.glob("part-*.parquet"):
        path.unlink()
    with shards.ShardWriter(tunable.curated, classes=[str(number) for number in range(10)]):
        pass
    write_rows(tunable.curated, pictures(6, 8, 1), [1] * 6, [str(number) for number in range(10)])
    params = update_params(tunable.params_file, settings=["tune.folds=2"])
    found = cross_validation.read(tunable, params)
    experiment = Experiment(tunable, params, found)
    sizes = [len(experiment.training_rows(params, True, cv_fold)) for cv_fold in found]
    train = len(rows.ids(tunable.clean, "train", "real"))
    overlapping = sum(f"{number:064d}" in rows.ids(tunable.clean, "train", "real") for number in range(6))  # ids of write_rows
    assert sum(sizes) == train + 2 * (6 - overlapping) + overlapping


def test_a_benchmark_of_other_rows_is_refused(tunable: Project) -> None:
    for path in tunable.clean.glob("*.parquet"):
        path.unlink()
    write_rows(tunable.clean, pictures(20, 8, 1), [0] * 20, ["0"])
    with pytest.raises(InputError, match=r"data/reference is of other rows than data/clean; run `reference` again"):
        cross_validation.read(tunable, load_params(tunable.params_file))
    assert ROWS > 20
