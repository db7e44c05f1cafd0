"""The example in numpy: what it promises beyond the contract, which `genloop model check` holds it to."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from operations import external_model
from operations.external_model import CheckOptions
from pipelines.core.project import Project
from tests.external import jobs
from tests.external.environment import EXAMPLES

NAME = "numpy"


@pytest.mark.parametrize("options", [CheckOptions(), CheckOptions("tiny", 12, 3)])
def test_it_keeps_the_contract(project: Project, options: CheckOptions) -> None:
    found = external_model.check(project, EXAMPLES / NAME, options, lambda line: None)
    assert [(result.name, result.state) for result in found.results if result.state != "ok"] == []
    assert found.images is not None
    assert found.images.shape[1:] == (options.size or 16, options.size or 16, options.channels or 1)


def test_what_is_generated_looks_like_the_rows_of_its_class(project: Project) -> None:
    found = external_model.check(project, EXAMPLES / NAME, CheckOptions(), lambda line: None)
    assert found.images is not None
    horizontal, vertical = (found.images[found.labels == label].mean(axis=(0, 3)) for label in (0, 1))
    assert horizontal.mean(axis=1).std() > 4 * horizontal.mean(axis=0).std()
    assert vertical.mean(axis=0).std() > 4 * vertical.mean(axis=1).std()


def test_one_that_was_killed_goes_on_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = jobs.write(tmp_path / "whole", NAME, "tiny", steps=60, report_every=20)
    jobs.run(NAME, whole)
    cut = jobs.write(tmp_path / "cut", NAME, "tiny", steps=60, report_every=20)
    jobs.run(NAME, cut, kill_at=40)
    assert jobs.result(cut) == {}
    assert jobs.run(NAME, cut)[0]["step"] > 20
    assert jobs.result(cut) == jobs.result(whole)


def test_previews_are_images_side_by_side_with_their_labels(tmp_path: Path) -> None:
    job = jobs.write(tmp_path, NAME, "tiny")
    shown = [report for report in jobs.run(NAME, job) if "preview" in report]
    assert [report["step"] for report in shown] == [3, 6]
    assert shown[-1]["labels"] == [0] * 8 + [1] * 8
    with Image.open(tmp_path / "previews" / shown[-1]["preview"]) as picture:
        assert picture.size == (8 * 8, 2 * 8)


def test_it_goes_on_from_the_champion(tmp_path: Path) -> None:
    first = jobs.write(tmp_path / "first", NAME, "tiny", steps=40)
    before = jobs.run(NAME, first)[-1]["loss"]
    further = jobs.write(tmp_path / "further", NAME, "tiny", steps=1, champion=str(tmp_path / "first" / "result"))
    anew = jobs.write(tmp_path / "anew", NAME, "tiny", steps=1)
    losses = [jobs.run(NAME, job)[0]["loss"] for job in (further, anew)]
    assert abs(losses[0] - before) < abs(losses[1] - before)


def test_rows_of_more_weight_count_for_more(tmp_path: Path) -> None:
    """Without classes, the share of bright images is that of the bright rows' weight."""
    shares = []
    for name, weights in (("even", [1.0, 1.0]), ("bright", [0.1, 1.9])):
        job = jobs.write(tmp_path / name, NAME, "tiny", steps=60, classes=[])
        jobs.write_rows(tmp_path / name / "data" / "part-0.parquet", 8, weights)
        jobs.run(NAME, job)
        with np.load(io.BytesIO(jobs.result(job)["model.npz"])) as arrays:
            centres = (arrays["centre"] + arrays["mean"][0] @ arrays["basis"]).reshape(-1, 8, 8)[:, 2:6, 2:6].mean(axis=(1, 2))
            shares.append(float(centres @ arrays["share"][0] / arrays["share"][0].sum()))
    assert shares[1] > shares[0] + 0.1
