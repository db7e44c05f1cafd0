"""What is stale although DVC thinks it fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations.staleness import stage_states, stale_stages
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.feedback.sealed import manifest, seal
from tests.support.votes import votes
from workspace import dvc


class ReceiptRegistry:
    """known: whether it knows the version in the receipt."""

    def __init__(self, known: bool) -> None:
        self.known = known

    def receipt_known(self) -> bool:
        return self.known


def test_a_receipt_that_the_registry_does_not_know_registers_again(
    project: Project, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "status", lambda _: {"evaluate": "fresh", "register": "fresh"})
    assert stale_stages(project, make_params(), ReceiptRegistry(False)) == {
        "register": True
    }  # DVC thinks it fresh, and must be told
    assert stale_stages(project, make_params(), ReceiptRegistry(True)) == {}
    assert stale_stages(project, make_params(), ReceiptRegistry(True), everything=True) == {"evaluate": True, "register": True}


def test_what_was_folded_while_curate_ran_curates_again(
    project: Project, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "status", lambda _: {"curate": "fresh"})
    project.curated.mkdir(parents=True)
    project.feedback.mkdir()
    curated.write_summary(project.curated, curated.CuratedSummary([], 0, 0))
    assert stale_stages(project, make_params(), ReceiptRegistry(True)) == {}
    seal.write(project.feedback, "a", votes(0, 5))
    manifest.update(project.feedback, project.manifest)
    assert stale_stages(project, make_params(), ReceiptRegistry(True)) == {"curate": True}
    curated.write_summary(project.curated, curated.CuratedSummary(["a"], 5, 0))
    assert stale_stages(project, make_params(), ReceiptRegistry(True)) == {}


def test_what_came_to_a_source_makes_every_stage_stale_and_ingest_reads_it_anew(
    project: Project, make_params: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("ingest", "clean", "register")
    monkeypatch.setattr(dvc, "status", lambda _: dict.fromkeys(names, "fresh"))
    params = make_params({"sources": [{"type": "folder", "path": str(tmp_path / "images")}]})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"1")
    known = ReceiptRegistry(True)
    assert stage_states(project, params, known) == dict.fromkeys(names, "fresh")  # the first look remembers what is there
    (tmp_path / "images" / "2.png").write_bytes(b"2")
    assert stage_states(project, params, known) == dict.fromkeys(names, "stale")
    assert stale_stages(project, params, known) == {"ingest": True}


def test_dvc_may_not_take_from_its_cache_what_ingest_once_made_of_a_place(
    project: Project, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """data/raw is gone, as after an ingest that failed: DVC would bring it back without a look at the source."""
    monkeypatch.setattr(dvc, "status", lambda _: {"ingest": "stale", "validate": "stale"})
    params = make_params({"sources": [{"type": "folder", "path": "/images"}]})
    assert stale_stages(project, params, ReceiptRegistry(True)) == {"ingest": True, "validate": False}
    assert stale_stages(project, make_params(), ReceiptRegistry(True)) == {"ingest": False, "validate": False}


def test_a_source_out_of_reach_is_said_once(project: Project, make_params: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc, "status", lambda _: {"ingest": "fresh"})
    params = make_params({"sources": [{"type": "folder", "path": "http://127.0.0.1:9/images"}]})
    said: list[str] = []
    assert stale_stages(project, params, ReceiptRegistry(True), log=said.append) == {}
    (line,) = said
    assert "http://127.0.0.1:9/images" in line
    assert "counts as unchanged" in line
