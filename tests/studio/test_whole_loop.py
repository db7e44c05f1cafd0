"""The loop, once whole: clicks in a browser, the next pictures obey, fold, training, the gate, and the page shows what won."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import studio_loop, workspace
from pipelines.core.project import Project

SETTINGS = ("model.family=vae", "model.preset=tiny", "train.steps=300", "feedback.steps=900", "feedback.min_events=100")
QUICK = ("evaluate.samples=1000", "promotion.noise=0", "reference.steps=200")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_people_click_and_the_page_shows_the_version_that_learned_from_it() -> None:
    if not shutil.which("chromium"):
        pytest.skip("Chromium is not installed (`apt-get install chromium`)")
    with workspace.clone((), [*SETTINGS, *QUICK]) as folder:
        make(folder)
        found = studio_loop.turn(Project.find(folder), people=12, clicks=15)
    assert (found.version, found.shown) == (1, 2)
    assert found.guided > found.before + 0.1
    assert found.seconds[1] < 20


def make(folder: Path) -> None:
    from benchmarks import measure

    measure.run([folder / ".venv/bin/python", "genloop.py", "run"], folder, {"PYTHONPATH": str(folder)})
