"""What a stage has made known about the next ones is said before they run."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from flows import retrain
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.sources.glyphs import Glyphs
from tests.conftest import MakeParams
from workspace import dvc

STAGES = ["ingest", "validate", "clean", "reference", "train"]
REPORTS = {"ingest": {"rows_out": 155}, "clean": {"rows_out": 155, "train": 127, "holdout": 28}}


@pytest.mark.parametrize("everything", [False, True])
def test_a_batch_larger_than_what_clean_has_left_stops_before_the_next_stage(
    kept: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    """155 images may have 128 training rows, and when `clean` has run, they have 127."""
    ran: list[str] = []
    warnings: list[str] = []

    def run_stage(project: Project, name: str, *_: Any, **__: Any) -> None:
        ran.append(name)
        project.reports.mkdir(parents=True, exist_ok=True)
        (project.reports / f"{name}.json").write_text(json.dumps(REPORTS.get(name, {})))

    monkeypatch.setattr(Glyphs, "size_hint", lambda self: self.count)
    monkeypatch.setattr(dvc, "stages", lambda project: STAGES)
    monkeypatch.setattr(
        retrain, "stale_stages", lambda *_: {name: everything for name in STAGES if everything or name not in ran}
    )
    monkeypatch.setattr(retrain, "run_stage", run_stage)
    monkeypatch.setattr(retrain, "get_run_logger", lambda: SimpleNamespace(warning=warnings.append))
    params = make_params({"sources": [{"type": "glyphs", "count": 155, "size": 16}]})
    with pytest.raises(InputError, match=r"data/clean has 127 rows to train on, fewer than train\.batch_size: 128"):
        retrain.run_stages(kept, params, Registry.open(kept, params.registry), everything)
    assert ran == ["ingest", "validate", "clean"]
    assert [line for line in warnings if "about 124 of them to train on" in line] == warnings
    assert len(warnings) == 1
