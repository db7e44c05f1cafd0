"""genloop influence, as a user calls it."""

from __future__ import annotations

import json

import pytest

from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.client import Registry
from pipelines.registry.versions import VersionBatches
from tests.feedback.lineage_project import LineageProject
from tests.feedback.writer import vote
from tests.support.calls import Called, call

VERSIONS = {
    1: VersionBatches([], []),
    2: VersionBatches(["x"], ["champion"]),
    3: VersionBatches(["x", "y"], []),
    4: VersionBatches(["z"], ["challenger"]),
}


@pytest.fixture(autouse=True)
def learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "training_batches", lambda _: VERSIONS)


def influence(project: Project, *arguments: str) -> Called:
    return call(project, "influence", *arguments)


def test_what_one_rater_said_and_what_came_of_it(project: Project, lineage: LineageProject) -> None:
    with EventStore.open(project.database_url) as store:
        store.add([vote("waiting", "ann")])
    found = json.loads(influence(project, "ann", "--json").out)
    assert {name: span["count"] for name, span in found["events"].items()} == {"vote": 19, "label": 1, "report": 1}
    assert found["events"]["vote"]["first"].endswith("Z")
    assert (sum(found["folds"].values()), found["waiting"]) == (20, 1)
    assert lineage.liked in found["rows"]["added"]
    assert found["rows"]["corrected"] == [lineage.corrected]
    assert found["rows"]["reported"] == [lineage.reported]
    assert found["versions"] == [{"version": 2, "aliases": ["champion"]}, {"version": 3, "aliases": []}]
    assert found["standing"]["reliability"] > 0.5
    lines = influence(project, "ann").out.splitlines()
    assert lines[0] == "ann"
    assert "  versions that have learned from this: 2 (champion), 3" in lines
    assert f"  rows corrected: 1 ({lineage.corrected[:12]})" in lines
    assert "1 not folded yet" in influence(project, "ann").out


def test_a_rater_whom_nobody_knows_is_unusable_input(project: Project, lineage: LineageProject) -> None:
    done = influence(project, "anne")
    assert (done.code, done.out) == (2, "")
    assert done.err == "genloop: anne: there are no events of theirs; did you mean ann?\n"
    assert not (project.data / "feedback.db").exists()  # asking made none
