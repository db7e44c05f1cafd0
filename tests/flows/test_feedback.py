"""The feedback flow folds, and trains when there is enough to learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import feedback
from pipelines.core import paths
from pipelines.feedback import curated
from pipelines.feedback.sealed import manifest, seal
from tests.support.tiny_project import Tiny
from tests.support.votes import votes
from workspace import dvc

CURATE = """
from pipelines.core import paths
from pipelines.feedback import curated, manifest

listed = manifest.check()
paths.CURATED.mkdir(exist_ok=True)
curated.write_about(paths.CURATED, curated.About(listed.batches, listed.events, 0))
print("learned from", listed.events)
"""
# Corrections of rows have no pictures, so no registry is needed.
FLOWS = """
from flows.feedback import feedback
from pipelines.feedback.events import parse
from pipelines.feedback.store import Store

def label(number):
    said = {"id": f"e{number}", "type": "label", "rater": "ann", "at": "2026-01-31T12:00:00Z"}
    return parse({**said, "row": "a" * 64, "label": 1})

for first, last in ((0, 1), (1, 5)):
    with Store.open() as store:
        store.add([label(number) for number in range(first, last)])
    feedback()
"""


def fold(batch: str, count: int) -> None:
    paths.FEEDBACK.mkdir(parents=True, exist_ok=True)
    seal.write(paths.FEEDBACK, batch, votes(0, count))
    manifest.update()


def test_what_curate_has_not_read_waits(project: Path) -> None:
    assert feedback.waiting() == 0
    fold("a", 5)
    assert feedback.waiting() == 5
    paths.CURATED.mkdir()
    curated.write_about(paths.CURATED, curated.About(["a"], 5, 0))
    assert feedback.waiting() == 0
    fold("b", 2)
    assert feedback.waiting() == 2


def test_what_forget_lets_curate_read_waits_until_a_training_has_learned_from_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold("a", 5)
    fold("b", 2)
    paths.CURATED.mkdir()
    curated.write_about(paths.CURATED, curated.About(["a", "b"], 7, 0))
    paths.REPORTS.mkdir(exist_ok=True)
    (paths.REPORTS / "train.json").write_text('{"folds": ["a"]}')
    for state, count in (("stale", 2), ("fresh", 0)):
        monkeypatch.setattr(dvc, "status", lambda state=state: {"train": state})
        assert feedback.waiting() == count
    (paths.REPORTS / "train.json").write_text('{"folds": ["b", "a"]}')
    monkeypatch.setattr(dvc, "status", lambda: pytest.fail("nothing to ask"))
    assert feedback.waiting() == 0


def test_it_folds_each_time_and_trains_when_enough_has_come(served: Tiny) -> None:
    served.graph(curate=CURATE)
    text = (served.folder / "params.yaml").read_text()
    (served.folder / "params.yaml").write_text(text.replace("min_events: 500", "min_events: 5"))
    process = served.start("-c", FLOWS)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    shown = [line for line in err.splitlines() if line.startswith(("── ", "learned"))]
    assert shown == [
        "── fold",
        "── 1 folded event waits to be learned from; training begins at feedback.min_events = 5",
        "── fold",
        "── 5 folded events wait to be learned from: training",
        "── curate",
        "learned from 5",
    ]
    assert "folded 4 events: 4 labels, by 1 rater" in err
    served.nothing_left()
