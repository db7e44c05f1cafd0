"""What is stale although DVC thinks it fresh."""

from __future__ import annotations

from typing import Any

import pytest

from operations.staleness import stale_stages
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
