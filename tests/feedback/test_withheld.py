"""What was reported is not shown again, nor what looks just like it; all else is."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from pipelines.core import backend, images, png
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.feedback import curated, withheld
from pipelines.feedback.withheld import WithheldFilter
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark
from tests.conftest import MakeParams
from tests.contracts import pictures, write_feedback

SIZE = {"image.size": 8}


class Greys:
    """An extractor that sees every pixel."""

    def extract(self, shown: np.ndarray) -> Features:
        assert shown.shape[1:] == (8, 8, 1)
        return Features(shown.reshape(len(shown), -1).astype(np.float32), None)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Training rows of the benchmark; neighbours are 80 apart, as a rule: 10 greys in each pixel."""
    rows = np.full((300, 8, 8, 1), 0, np.uint8)
    rows[...] = (10 * (np.arange(300) % 25))[:, None, None, None]
    seen = Greys().extract(rows[:25])
    pinned = Benchmark("id", [], seen, np.zeros(25, np.int32), seen)
    monkeypatch.setattr(benchmark, "read", lambda folder: (pinned, Greys()))
    monkeypatch.setattr(backend, "load", lambda: None)
    return rows


def report(project: Project, *shown: np.ndarray, wide: bool = True) -> None:
    write_feedback(project.curated)
    rows: dict[str, Any] = {
        "row_id": [images.row_id(image) for image in shown],
        "image": [png.encode(image) for image in shown],
        "wide": [wide] * len(shown),
        "events": [["a report"]] * len(shown),
    }
    curated.write_table(project.curated, "reported", rows)


def flat(grey: int) -> np.ndarray:
    return np.full((8, 8, 1), grey, np.uint8)


def test_what_is_near_is_withheld_and_what_is_far_is_not(project: Project, real: np.ndarray, make_params: MakeParams) -> None:
    report(project, flat(100), flat(200))
    found = WithheldFilter.read(project, make_params(SIZE))
    assert found.reach == pytest.approx([80, 80])
    assert found.mask(np.stack([flat(grey) for grey in (100, 91, 109, 80, 115, 205, 0)])).tolist() == [
        True, True, True, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(("reach", "withheld"), [(0.0, [True, False, False]), (2.0, [True, True, False])])
def test_the_reach_is_a_setting_and_the_very_image_is_always_withheld(
    project: Project, real: np.ndarray, make_params: MakeParams, reach: float, withheld: list[bool]
) -> None:
    report(project, flat(100))
    found = WithheldFilter.read(project, make_params({**SIZE, "feedback.report_reach": reach}))
    assert found.mask(np.stack([flat(100), flat(115), flat(130)])).tolist() == withheld


def test_of_some_reports_the_very_image_alone_is_withheld(project: Project, real: np.ndarray, make_params: MakeParams) -> None:
    report(project, flat(100), wide=False)
    assert WithheldFilter.read(project, make_params(SIZE)).mask(np.stack([flat(grey) for grey in (100, 99, 101)])).tolist() == [
        True,
        False,
        False,
    ]


def test_a_version_of_another_size_is_looked_at_in_the_project_s_form(
    project: Project, real: np.ndarray, make_params: MakeParams
) -> None:
    report(project, flat(100))
    large = np.stack([np.full((16, 16, 3), grey, np.uint8) for grey in (100, 200)])
    assert WithheldFilter.read(project, make_params(SIZE)).mask(large).tolist() == [True, False]


def test_where_nothing_is_reported_all_is_shown_and_nothing_heavy_loads(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "read", lambda folder: pytest.fail("nothing to look at"))
    monkeypatch.setattr(backend, "load", lambda: pytest.fail("nothing to look at"))
    for _ in range(2):  # without data/curated, and with an empty one
        assert not WithheldFilter.read(project, make_params()).mask(pictures(5, 8, 1)).any()
        write_feedback(project.curated)


def test_a_report_that_cannot_be_heeded_is_an_error(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "load", lambda: None)
    report(project, flat(100))
    with pytest.raises(InputError, match="no usable benchmark"):
        WithheldFilter.read(project, make_params(SIZE))
    (project.curated / "reported.parquet").unlink()
    with pytest.raises(InputError, match="not what `curate` writes"):
        WithheldFilter.read(project, make_params(SIZE))


def test_the_usual_distance_is_the_median_of_nearest_neighbours() -> None:
    rows = np.random.default_rng(0).standard_normal((1100, 3)).astype(np.float32)
    gaps = np.sqrt(((rows[:, None].astype(np.float64) - rows) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    assert withheld.median_nearest_distance(rows) == pytest.approx(np.sqrt(np.median(gaps.min(axis=1) ** 2)))
    assert withheld.median_nearest_distance(rows[:1]) == 0
    assert withheld.median_nearest_distance(np.zeros((5, 3), np.float32)) == 0


def test_it_can_be_imported_without_keras() -> None:
    import subprocess

    program = "import sys, pipelines.feedback.withheld; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
