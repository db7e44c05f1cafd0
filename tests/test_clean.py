"""clean: refuses by rule, in order; makes rows of one form; splits by content; loses nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipelines import clean, validate
from pipelines.core import images, reports, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from tests.conftest import MakeParams
from tests.contracts import pictures
from tests.test_validate import write_raw


def prepare(project: Project, make_params: MakeParams, pixels: list[np.ndarray], changes: dict[str, Any] | None = None) -> Any:
    params = make_params({"validate.hard": {}, "validate.soft": {}, **(changes or {})})
    write_raw(project, pixels, [number % 2 for number in range(len(pixels))])
    validate.run(project, params)
    return params


def quarantine(project: Project) -> Counter[str]:
    return Counter(r for batch in shards.read(project.quarantine / "clean") for r in batch["reason"].to_pylist())


def test_what_goes_in_comes_out_or_is_refused_with_its_reason(project: Project, make_params: MakeParams) -> None:
    good = list(pictures(100, 20, 3))
    bad = [good[0], np.zeros((20, 20, 3), np.uint8), good[1][:, :3], good[2][:3]]
    clean.run(project, prepare(project, make_params, [*good, *bad]))
    report = reports.read(project.reports, "clean")
    assert report["refused"] == {"exact_copy": 1, "near_copy": 0, "blank": 1, "too_small": 2, "aspect_ratio": 0}
    assert report["rows_in"] == report["rows_out"] + sum(report["refused"].values()) == 104
    assert report["train"] + report["holdout"] == report["rows_out"] == shards.count(project.clean)
    assert quarantine(project) == {"exact_copy": 1, "blank": 1, "too_small": 2}


def test_rules_apply_in_the_order_of_params(project: Project, make_params: MakeParams) -> None:
    blank = np.zeros((20, 20, 1), np.uint8)
    rules = [{"rule": "blank"}, {"rule": "exact_copy"}]
    clean.run(project, prepare(project, make_params, [*pictures(50, 20, 1), blank, blank], {"clean.rules": rules}))
    assert quarantine(project) == {"blank": 2}
    clean.run(project, prepare(project, make_params, [*pictures(50, 20, 1), blank, blank], {"clean.rules": rules[::-1]}))
    assert quarantine(project) == {"exact_copy": 1, "blank": 1}


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_become_of_one_form(project: Project, make_params: MakeParams, channels: int) -> None:
    pixels = [*pictures(30, 40, 1), *pictures(30, 33, 3, seed=1), *pictures(30, 20, 3, seed=2)]
    params = prepare(project, make_params, [p[: 20 + i % 9] for i, p in enumerate(pixels)], {"image.channels": channels})
    clean.run(project, params)
    for split in ("train", "holdout"):
        loaded = rows.load(project.clean, split)  # type: ignore[arg-type]
        assert loaded.images.shape[1:] == (16, 16, channels)
        assert loaded.ids.tolist() == [images.row_id(image) for image in loaded.images]
    names = [row["image"]["path"] for batch in shards.read(project.clean) for row in batch.to_pylist()]
    assert set(names) == {None}


def test_a_row_keeps_its_split_however_the_data_grows(project: Project, make_params: MakeParams) -> None:
    def splits() -> dict[str, str]:
        read = [batch.to_pylist() for batch in shards.read(project.clean)]
        return {row["row_id"]: row["split"] for batch in read for row in batch}

    few, many = list(pictures(60, 16, 1)), list(pictures(200, 16, 1))
    clean.run(project, prepare(project, make_params, few))
    before = splits()
    clean.run(project, prepare(project, make_params, many[::-1] + few))
    after = splits()
    assert {identity: after.get(identity) for identity in before} == before
    assert 0.1 < Counter(after.values())["holdout"] / len(after) < 0.3


def test_denoising_takes_single_wrong_pixels_away(project: Project, make_params: MakeParams) -> None:
    flat = np.full((16, 16, 1), 100, np.uint8)
    flat[:, 8:] = 200
    noisy = flat.copy()
    noisy[4, 3], noisy[12, 12] = 255, 0
    params = make_params({"clean.denoise": "median"})
    assert np.array_equal(params.form.apply(noisy), flat)
    assert np.array_equal(make_params().form.apply(noisy), noisy)


def test_data_of_which_nothing_is_left_is_an_error(project: Project, make_params: MakeParams) -> None:
    params = prepare(project, make_params, [np.zeros((20, 20, 1), np.uint8)] * 3)
    with pytest.raises(InputError, match=r"every row was refused: .*'exact_copy': 2.*'blank': 1"):
        clean.run(project, params)
    assert not project.clean.exists()


def test_too_few_rows_to_hold_some_out_is_an_error(project: Project, make_params: MakeParams) -> None:
    params = prepare(project, make_params, list(pictures(3, 16, 1)), {"clean.holdout": 1e-6})
    with pytest.raises(InputError, match="no row fell into the holdout split of 3"):
        clean.run(project, params)
    assert not project.clean.exists()


def test_facts_of_other_rows_are_refused(project: Project, make_params: MakeParams) -> None:
    params = prepare(project, make_params, list(pictures(30, 16, 1)))
    for part in shards.list_files(project.raw):
        part.unlink()
    write_raw(project, list(pictures(20, 16, 1, seed=5)), [0] * 20)
    with pytest.raises(InputError, match="run `validate` again"):
        clean.run(project, params)
    assert not project.clean.exists()
