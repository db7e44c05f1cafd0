"""Where a version comes from, of a registry that is a few lines."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipelines.core.errors import GenloopError
from pipelines.registry import lineage
from pipelines.registry.versions import Version
from tests.support.fake_registry import FakeRegistry

TAGS = {
    "genloop.git_commit": "c0ffee",
    "genloop.git_dirty": "true",
    "genloop.parent": "2",
    "genloop.generation": "1",
    "genloop.benchmark_id": "b1",
    "genloop.events": "70",
    "genloop.raters": "5",
    "genloop.verdict": json.dumps({"figures": {"verdict": "promote", "champion": 2}, "why": []}),
    "genloop.machine.processor": '"A processor"',
    "genloop.machine.threads": "2",
    "genloop.machine.versions": '{"keras": "3.15.1"}',
    "genloop.data.data/clean": "abc.dir",
    "genloop.data.data/reports/clean.json": "def",
}
ARTIFACTS = {
    "feedback.json": b'{"batches": ["x", "y"], "events": 70}',
    "packages.json": b'{"keras": "3.15.1", "numpy": "2.4.6"}',
}


METRICS = {"fid": 15.0, "fid_unbiased": 12.5, "fid_low": 11.0, "fid_high": 14.0, "fid_floor": 3.0, "recall": 0.5}


class MeasuredRegistry(FakeRegistry):
    """Every version has metrics and settings."""

    def version(self, number: int) -> Version:
        metrics = dict(METRICS)
        return replace(super().version(number), metrics=metrics, settings={"train.steps": "9"})


@pytest.fixture
def registry() -> FakeRegistry:
    found = MeasuredRegistry(champion=3, challenger=None)
    found.tags = {1: {}, 2: {"genloop.parent": "1"}, 3: dict(TAGS)}
    found.artifacts[3] = dict(ARTIFACTS)
    return found


def test_the_lineage_says_all_that_the_run_has_kept(registry: FakeRegistry) -> None:
    assert lineage.read(registry, 3).as_json() == {
        "model": "genloop-digits",
        "version": 3,
        "created": "2026-01-31T12:00:00Z",
        "aliases": ["champion"],
        "commit": "c0ffee",
        "no_commit": None,
        "dirty": True,
        "parents": [2, 1],
        "generation": 1,
        "benchmark_id": "b1",
        "events": 70,
        "raters": 5,
        "folds": ["x", "y"],
        "metrics": METRICS,
        "verdict": {"verdict": "promote", "champion": 2},
        "data": {"data/clean": "abc.dir", "data/reports/clean.json": "def"},
        "settings": {"train.steps": "9"},
        "machine": {"processor": "A processor", "threads": 2, "versions": {"keras": "3.15.1"}},
        "packages": {"keras": "3.15.1", "numpy": "2.4.6"},
    }


def test_people_read_a_line_a_fact(registry: FakeRegistry) -> None:
    lines = [line.split(maxsplit=1) for line in lineage.read(registry, 3).lines()]
    assert lines[0] == ["genloop-digits", "version 3, the champion"]
    said = dict(lines[1:])
    assert said["commit"] == "c0ffee, with changes that were not committed"
    assert said["training"] == "went on from version 2, that from version 1"
    assert said["learned"] == "from  70 events of 5 raters, in 2 folds"
    assert said["fid_unbiased"] == "12.5, 95% interval 11 to 14"
    assert said["fid"] == "15, an ideal model 3, as other libraries print it"
    assert said["recall"] == "0.5"
    assert said["gate"] == "promote, against version 2"
    assert said["machine"] == "A processor, threads 2, keras 3.15.1"
    assert said["data/clean"] == "abc.dir"
    assert "data/reports/clean.json" not in said


def test_a_version_of_an_earlier_genloop_has_a_lineage_too(registry: FakeRegistry) -> None:
    found = lineage.read(registry, 1)
    assert (found.commit, found.events, found.raters, found.packages, found.verdict) == (None, None, None, {}, None)
    text = "\n".join(found.lines())
    assert "none: it was made outside of git" in text
    assert "not known" in text


def test_a_parent_that_is_gone_is_named_and_ends_the_line(registry: FakeRegistry) -> None:
    registry.delete(2)
    assert lineage.read(registry, 3).parents == [2]


def test_parents_that_go_round_in_a_circle_end(registry: FakeRegistry) -> None:
    registry.tags[1]["genloop.parent"] = "2"
    assert lineage.read(registry, 3).parents == [2, 1]


def test_an_artifact_that_is_no_json_is_named(registry: FakeRegistry) -> None:
    registry.artifacts[3]["packages.json"] = b"<html>"
    with pytest.raises(GenloopError, match=r"version 3: its artifact packages\.json is no JSON"):
        lineage.read(registry, 3)


def test_a_version_without_a_commit_says_why(registry: FakeRegistry) -> None:
    registry.tags[1] |= {
        "genloop.git_commit": "none",
        "genloop.git_missing": "there is no commit yet; `git add . && git commit`",
    }
    assert lineage.read(registry, 1).no_commit == "there is no commit yet; `git add . && git commit`"
    assert "none: there is no commit yet; `git add . && git commit`" in "\n".join(lineage.read(registry, 1).lines())
    registry.tags[1] |= {"genloop.git_commit": "c0ffee"}  # a run has committed since
    assert (lineage.read(registry, 1).commit, lineage.read(registry, 1).no_commit) == ("c0ffee", None)
