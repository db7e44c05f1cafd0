"""The feedback flow folds, and trains when there is enough to learn from."""

from __future__ import annotations

import pytest

from flows import feedback
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.feedback.sealed import manifest, seal
from pipelines.settings.load import update_params
from tests.support.tiny_project import Tiny
from tests.support.votes import votes
from workspace import dvc

CURATE = """
from pipelines.feedback import curated
from pipelines.feedback.sealed import manifest

listed = manifest.check(project.feedback, project.manifest)
project.curated.mkdir(exist_ok=True)
curated.write_summary(project.curated, curated.CuratedSummary(listed.batches, listed.events, 0))
print("learned from", listed.events)
"""
# Corrections of rows have no pictures, so no registry is needed.
FLOWS = """
from flows.feedback import feedback
from pipelines.core.project import Project
from pipelines.feedback.events import parse
from pipelines.feedback.store.event_store import EventStore

def label(number):
    said = {"id": f"e{number}", "type": "label", "rater": "ann", "at": "2026-01-31T12:00:00Z"}
    return parse({**said, "row": "a" * 64, "label": 1})

for first, last in ((0, 1), (1, 5)):
    with EventStore.open(Project.find().database_url) as store:
        store.add([label(number) for number in range(first, last)])
    feedback()
"""


def fold(project: Project, batch: str, count: int) -> None:
    project.feedback.mkdir(parents=True, exist_ok=True)
    seal.write(project.feedback, batch, votes(0, count))
    manifest.update(project.feedback, project.manifest)


def test_what_curate_has_not_read_waits(project: Project) -> None:
    assert feedback.waiting_events(project) == 0
    fold(project, "a", 5)
    assert feedback.waiting_events(project) == 5
    project.curated.mkdir()
    curated.write_summary(project.curated, curated.CuratedSummary(["a"], 5, 0))
    assert feedback.waiting_events(project) == 0
    fold(project, "b", 2)
    assert feedback.waiting_events(project) == 2


def test_what_forget_lets_curate_read_waits_until_a_training_has_learned_from_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold(project, "a", 5)
    fold(project, "b", 2)
    project.curated.mkdir()
    curated.write_summary(project.curated, curated.CuratedSummary(["a", "b"], 7, 0))
    project.reports.mkdir(exist_ok=True)
    (project.reports / "train.json").write_text('{"folds": ["a"]}')
    for state, count in (("stale", 2), ("fresh", 0)):
        monkeypatch.setattr(dvc, "status", lambda _, state=state: {"train": state})
        assert feedback.waiting_events(project) == count
    (project.reports / "train.json").write_text('{"folds": ["b", "a"]}')
    monkeypatch.setattr(dvc, "status", lambda _: pytest.fail("nothing to ask"))
    assert feedback.waiting_events(project) == 0


def test_it_folds_each_time_and_trains_when_enough_has_come(served: Tiny) -> None:
    served.graph(curate=CURATE)
    update_params(served.project.params_file, settings=["feedback.min_events=5"])
    process = served.start("-c", FLOWS)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    shown = [line for line in err.splitlines() if line.startswith(("── ", "learned"))]
    assert shown == [
        "── fold",
        "── 1 folded event waits for a training; it begins at feedback.min_events = 5",
        "── fold",
        "── 5 folded events wait for a training, which begins now",
        "── curate",
        "learned from 5",
    ]
    assert "folded 4 events: 4 labels, by 1 rater" in err
    served.nothing_left()
