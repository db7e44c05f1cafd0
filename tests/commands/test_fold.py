"""genloop fold, as a user calls it; what a fold does is in tests/flows/test_folding.py."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import genloop
from operations import fold as folding
from operations.fold import Folded
from pipelines.core.errors import GenloopError
from tests.conftest import REPOSITORY

MUCH = Folded(
    events={"vote": 1990, "upload": 1},
    raters=37,
    batches=["a1", "b2"],
    missing={"version 7 is not in the registry": 2},
    forgotten=1,
    learned=[2, 3],
    committed=True,
)


@pytest.fixture
def done(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """What the next fold will have done, or raise."""
    shutil.copy(REPOSITORY / "params.yaml", project)
    (project / "dvc.yaml").write_text("stages: {}\n")
    found = SimpleNamespace(folded=Folded())

    def fold(_: object) -> Folded:
        if isinstance(found.folded, Exception):
            raise found.folded
        return found.folded

    monkeypatch.setattr(folding, "fold", fold)
    before = signal.getsignal(signal.SIGTERM)
    yield found
    signal.signal(signal.SIGTERM, before)


def call(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["fold", *arguments])
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_it_says_what_was_folded(done: SimpleNamespace) -> None:
    done.folded = MUCH
    assert call().out.splitlines() == [
        "folded 1,991 events: 1,990 votes, 1 upload, by 37 raters",
        "  batch a1",
        "  batch b2",
        "  2 pictures missing: version 7 is not in the registry",
        "forgot 1 rater",
        "  versions that had learned from them: 2, 3; `genloop run` trains one without",
        "committed",
    ]


def test_programs_get_all_of_it(done: SimpleNamespace) -> None:
    done.folded = MUCH
    found = json.loads(call("--json").out)
    assert set(found) == {"events", "raters", "batches", "missing", "forgotten", "learned", "committed"}
    assert Folded(**found) == MUCH


def test_nothing_new_is_said(done: SimpleNamespace) -> None:
    assert call().out == "nothing new\n"


def test_what_a_killed_fold_left_over_is_no_nothing(done: SimpleNamespace) -> None:
    done.folded = Folded(committed=True)
    assert call().out == "committed\n"


def test_a_fault_is_a_line_and_an_exit_code(done: SimpleNamespace) -> None:
    done.folded = GenloopError("data/feedback: files are missing")
    found = call("--json")
    assert (found.code, found.out, found.err) == (1, "", "genloop: data/feedback: files are missing\n")
