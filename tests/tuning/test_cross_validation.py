"""No row is trained on in a training that is scored against it, and none that is held out is ever looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.core import backend, paths, rows, shards
from pipelines.core.errors import InputError
from pipelines.settings.load import load_params
from pipelines.settings.overlay import update_params
from pipelines.tuning import cross_validation
from tests.contracts import pictures, write_rows
from tests.tuning.project import ROWS

backend.load()

from pipelines.tuning.trial import Bench  # noqa: E402


def ids(found) -> set[str]:
    return set(found.astype(str).tolist())


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_no_row_is_on_both_sides(tunable: Path, folds: int) -> None:
    params = update_params([], [f"tune.folds={folds}"])
    held_out, train = (rows.ids(paths.CLEAN, split, "real") for split in ("holdout", "train"))
    found = cross_validation.read(params)
    bench = Bench(params, found)
    assert len(found) == folds
    for part in found:
        seen = ids(bench.training(params, True, part).ids)
        judged = ids(part.benchmark.ids)
        assert judged == ids(part.ids)
        assert seen | judged == train
        assert not seen & judged
        assert not judged & held_out
        assert ids(part.benchmark.train_ids) == seen
        assert len(part.benchmark.holdout.vectors) == len(part.benchmark.labels) == len(judged)
    if folds > 1:
        assert sum(len(part.ids) for part in found) == len(train), "each row is in one part"
        assert {row_id for part in found for row_id in ids(part.ids)} == train
    else:
        assert 0.1 * len(train) < len(found[0].ids) < 0.3 * len(train)
    assert len({part.benchmark.id for part in found}) == folds


def test_features_and_labels_are_those_of_the_rows(tunable: Path) -> None:
    (part,) = cross_validation.read(load_params())
    every = rows.load(paths.CLEAN, "train")
    labels = dict(zip(every.ids.tolist(), every.labels.tolist(), strict=True))
    assert part.benchmark.labels.tolist() == [labels[row_id] for row_id in part.benchmark.ids.tolist()]
    images = dict(zip(every.ids.tolist(), every.images, strict=True))
    extractor = Bench(load_params(), [part]).extractor
    seen = extractor.extract(np.stack([images[row_id] for row_id in part.benchmark.ids.tolist()]))
    assert np.allclose(seen.vectors, part.benchmark.holdout.vectors, atol=1e-5)


def test_a_part_stays_when_the_data_grows_and_another_seed_deals_anew(tunable: Path) -> None:
    params = load_params()
    few, many = (np.array([f"{number:064d}" for number in range(count)]) for count in (200, 300))
    (before,), (after,) = cross_validation.dealt(few, params), cross_validation.dealt(many, params)
    assert after[:200].tolist() == before.tolist()
    (other,) = cross_validation.dealt(few, update_params([], ["tune.seed=1"]))
    assert other.tolist() != before.tolist()


def test_rows_of_feedback_are_trained_on_in_every_part(tunable: Path) -> None:
    for path in paths.CURATED.glob("part-*.parquet"):
        path.unlink()
    with shards.Writer(paths.CURATED, classes=[str(number) for number in range(10)]):
        pass
    write_rows(paths.CURATED, pictures(6, 8, 1), [1] * 6, [str(number) for number in range(10)])
    params = update_params([], ["tune.folds=2"])
    found = cross_validation.read(params)
    bench = Bench(params, found)
    sizes = [len(bench.training(params, True, part)) for part in found]
    train = len(rows.ids(paths.CLEAN, "train", "real"))
    overlapping = sum(f"{number:064d}" in rows.ids(paths.CLEAN, "train", "real") for number in range(6))  # ids of write_rows
    assert sum(sizes) == train + 2 * (6 - overlapping) + overlapping


def test_a_benchmark_of_other_rows_is_refused(tunable: Path) -> None:
    for path in paths.CLEAN.glob("*.parquet"):
        path.unlink()
    write_rows(paths.CLEAN, pictures(20, 8, 1), [0] * 20, ["0"])
    with pytest.raises(InputError, match=r"data/reference is of other rows than data/clean; run `reference` again"):
        cross_validation.read(load_params())
    assert ROWS > 20
