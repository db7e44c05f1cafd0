"""genloop fold, as a user calls it; what a fold does is in tests/operations/test_fold.py."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from operations import fold as folding
from operations.fold import FoldResult
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from tests.conftest import REPOSITORY
from tests.support.calls import call

MUCH = FoldResult(
    events={"vote": 1990, "upload": 1},
    raters=37,
    batches=["a1", "b2"],
    missing={"version 7 is not in the registry": 2},
    forgotten=1,
    learned=[2, 3],
    committed=True,
)


@pytest.fixture
def done(project: Project, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the next fold will have done, or raise."""
    shutil.copy(REPOSITORY / "params.yaml", project.root)
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    found = SimpleNamespace(folded=FoldResult(), project=project)

    def fold(found_project: Project, *_: object) -> FoldResult:
        assert found_project.root == project.root
        if isinstance(found.folded, Exception):
            raise found.folded
        return found.folded

    monkeypatch.setattr(folding, "fold", fold)
    return found


def test_it_says_what_was_folded(done: SimpleNamespace) -> None:
    done.folded = MUCH
    assert call(done.project, "fold").out.splitlines() == [
        "folded 1,991 events: 1,990 votes, 1 upload, by 37 raters",
        "  batch a1",
        "  batch b2",
        "  2 images missing: version 7 is not in the registry",
        "forgot 1 rater",
        "  versions that had learned from them: 2, 3; `genloop run` trains one without",
        "committed",
    ]


def test_programs_get_all_of_it(done: SimpleNamespace) -> None:
    done.folded = MUCH
    found = json.loads(call(done.project, "fold", "--json").out)
    assert set(found) == {"events", "raters", "batches", "missing", "forgotten", "learned", "committed"}
    assert FoldResult(**found) == MUCH


def test_nothing_new_is_said(done: SimpleNamespace) -> None:
    assert call(done.project, "fold").out == "no new events\n"


def test_what_a_killed_fold_left_over_is_no_nothing(done: SimpleNamespace) -> None:
    done.folded = FoldResult(committed=True)
    assert call(done.project, "fold").out == "committed\n"


def test_a_fault_is_a_line_and_an_exit_code(done: SimpleNamespace) -> None:
    done.folded = GenloopError("data/feedback: files are missing")
    found = call(done.project, "fold", "--json")
    assert (found.code, found.out, found.err) == (1, "", "genloop: data/feedback: files are missing\n")
