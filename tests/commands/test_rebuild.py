"""genloop rebuild, as a user calls it; what a rebuild does is in tests/operations/test_rebuild.py."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from operations import rebuild as rebuilding
from operations.rebuild import RebuildResult
from operations.rebuild.compare import ScoreMatch, StageMatch, WeightsMatch
from pipelines.core.project import Project
from tests.conftest import REPOSITORY
from tests.support.calls import Called, call

EQUAL = RebuildResult(
    version=7,
    match="bit-equal",
    commit="0123456789abcdef",
    dirty=False,
    stages={"clean": StageMatch("bit-equal"), "train": StageMatch("bit-equal")},
    weights=WeightsMatch(True, 0.0),
    scores={},
    changes={},
    reasons=[],
    folder=None,
)
OTHER = replace(
    EQUAL,
    match="different",
    stages={"clean": StageMatch("bit-equal"), "train": StageMatch("different", {"data/model": "has files of another content"})},
    weights=WeightsMatch(False, 0.001),
    scores={"fid": ScoreMatch(15.0, 14.5, 15.5, 0.4, False)},
    reasons=[f"package{number}: 1 then, 2 here" for number in range(9)],
)


def show(project: Project, rebuilt: RebuildResult, *arguments: str) -> Called:
    shutil.copy(REPOSITORY / "params.yaml", project.root)
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuilding, "rebuild", lambda *_: rebuilt)
        return call(project, "rebuild", "7", *arguments)


def test_an_equal_version_is_exit_code_0(project: Project) -> None:
    found = show(project, EQUAL)
    lines = [line.split() for line in found.out.splitlines()]
    assert found.code == 0
    assert lines[0] == ["version", "7,", "made", "again", "at", "commit", "0123456789ab"]
    assert lines[1:] == [
        ["stage", "match", "what", "differs"],
        ["clean", "bit-equal"],
        ["train", "bit-equal"],
        ["weights", "bit-equal"],
        ["bit-equal"],
    ]


def test_what_differs_is_said_and_what_may_be_the_reason(project: Project) -> None:
    found = show(project, OTHER)
    lines = [" ".join(line.split()) for line in found.out.splitlines()]
    assert found.code == 1
    assert "train different data/model has files of another content" in lines
    assert "weights not bit-equal the largest difference is 0.001" in lines
    assert "fid +15 14.5 to 15.5 different, by more than 0.4" in lines
    assert lines[-3:] == [
        "possible reason: package7: 1 then, 2 here",
        "and 1 more differences; --json lists them",
        "different",
    ]


def test_programs_get_a_verdict(project: Project) -> None:
    found = json.loads(show(project, OTHER, "--json").out)
    assert list(found) == [
        "version", "verdict", "commit", "dirty", "stages", "weights", "scores", "changes", "why", "folder",
    ]  # fmt: skip
    assert found["stages"]["train"] == {"verdict": "different", "differs": {"data/model": "has files of another content"}}
