"""genloop gc, as a user calls it; what it frees is in tests/operations/test_garbage.py."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from pipelines.core import files
from pipelines.core.project import Project
from tests.support import versioned_project
from tests.support.calls import call


@pytest.fixture
def littered(kept: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with two objects in DVC's cache that nothing names: a file, and the list of the folder that it was in."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    versioned_project.fold(kept, 1)
    (kept.root / "data/feedback.dvc").unlink()
    shutil.rmtree(kept.feedback)
    return kept


def objects(project: Project) -> list[Path]:
    return sorted((project.root / ".dvc/cache/files/md5").glob("*/*"))


def test_a_dry_run_says_what_would_be_freed_and_frees_nothing(littered: Project) -> None:
    before = objects(littered)
    found = call(littered, "gc", "--dry-run")
    lines = [" ".join(line.split()) for line in found.out.splitlines()]
    total = sum(path.stat().st_size for path in before)
    assert (found.code, found.err) == (0, "")
    assert lines == [
        "what count size",
        f"objects in DVC's cache 2 {total} bytes",
        "models in MLflow that are no version 0 0 bytes",
        "runs in MLflow without a version 0 0 bytes",
        "checkpoints of trainings that have ended 0 0 bytes",
        "temporary files of runs that were killed 0 0 bytes",
        f"would be freed 2 {total} bytes",
    ]
    assert objects(littered) == before


def test_it_asks_first_and_where_it_cannot_ask_frees_nothing(littered: Project) -> None:
    found = call(littered, "gc")
    assert found.code == 2
    assert "there is no terminal to ask at, so say --yes, or --dry-run" in found.err
    assert "Traceback" not in found.err
    assert len(objects(littered)) == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 2), ("y", 0, 0)])
def test_the_answer_counts(littered: Project, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int) -> None:
    monkeypatch.setattr("commands.console.confirm", lambda question, _: answer == "y")
    found = call(littered, "gc")
    assert found.code == code
    assert ("nothing is freed" in found.err) == (answer == "n")
    assert len(objects(littered)) == left


def test_programs_get_counts_and_bytes(littered: Project) -> None:
    total = sum(path.stat().st_size for path in objects(littered))
    nothing = {"count": 0, "bytes": 0}
    expected = {
        "dry_run": True,
        "kinds": {
            "cache": {"count": 2, "bytes": total},
            "models": nothing,
            "runs": nothing,
            "checkpoints": nothing,
            "temporary": nothing,
        },
        "bytes": total,
        "notes": [],
    }
    assert json.loads(call(littered, "gc", "--dry-run", "--json").out) == expected
    assert json.loads(call(littered, "gc", "--yes", "--json").out) == {**expected, "dry_run": False}
    assert objects(littered) == []
    assert json.loads(call(littered, "gc", "--yes", "--json").out)["bytes"] == 0


def test_a_registry_that_does_not_answer_is_said_in_one_line(littered: Project) -> None:
    files.write(littered.root / "mlflow.db", "no database")
    found = call(littered, "gc", "--yes")
    assert found.code == 1
    assert "mlflow.db is no database, or is damaged" in found.err
    assert "Traceback" not in found.err
    assert len(objects(littered)) == 2
