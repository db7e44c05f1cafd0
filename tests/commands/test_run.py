"""What `genloop run` says around a run: what it committed and left, and what one may want next."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import genloop
from commands import run
from pipelines.core.project import Project
from pipelines.settings.load import update_params
from tests.conftest import REPOSITORY, MakeParams
from tests.support.kept_project import git

MNIST = "genloop run --params examples/mnist.yaml --set sources.0.path=mnist.npz"
FOLDER = {"type": "folder", "path": "pictures"}


@pytest.mark.parametrize(
    ("sources", "offered"),
    [
        ([{"type": "digits"}], True),
        ([FOLDER], False),
        ([{"type": "digits"}, FOLDER], False),
        ([{"type": "npz", "path": "own.npz"}], False),
    ],
)
def test_other_data_is_offered_only_to_those_who_have_none_of_their_own(
    kept: Project, make_params: MakeParams, sources: list[dict[str, Any]], offered: bool
) -> None:
    lines = list(run.suggestions(kept, make_params({"sources": sources}), None))
    assert lines == [
        "genloop generate --count 64 --out grid.png",
        MNIST if offered else "genloop history",
        "mlflow ui --backend-store-uri sqlite:///mlflow.db",
    ]
    assert next(iter(run.suggestions(kept, make_params(), 3))).endswith("--out grid.png --version 3")


def test_settings_that_only_the_workspace_has_are_named(kept: Project, make_params: MakeParams) -> None:
    update_params(kept.params_file, settings=["train.steps=77"])
    first, *_ = run.suggestions(kept, make_params(), None)
    assert first.startswith("git commit params.yaml   # ")
    git(kept.root, "commit", *first.partition("#")[0].split()[2:], "-q", "-m", "Settings")
    assert [line for line in run.suggestions(kept, make_params(), None) if line.startswith("git")] == []
    update_params(kept.params_file, settings=["train.steps=78"])
    assert next(iter(run.suggestions(kept, make_params({"versioning.commit": False}), None))).startswith("genloop")


def test_an_interrupted_run_says_what_it_left(kept: Project) -> None:
    words = "interrupted; the stages that had ended are kept, and the next run goes on from there"
    assert run.describe_interruption(kept) == words
    kept.dvc_lock.write_text("schema: '2.0'\n")
    assert run.describe_interruption(kept) == f"{words}; changed and not committed yet: dvc.lock"
    update_params(kept.params_file, settings=["train.steps=77"])
    assert run.describe_interruption(kept) == f"{words}; changed and not committed yet: params.yaml, dvc.lock"
    shutil.rmtree(kept.root / ".git")
    assert run.describe_interruption(kept) == words


def test_in_the_middle_of_a_conflict_no_setting_is_written(kept: Project) -> None:
    before = kept.params_file.read_text()
    kept.dvc_lock.write_text("<<<<<<< HEAD\nschema: 1\n=======\nschema: 2\n>>>>>>> theirs\n")
    result = CliRunner().invoke(genloop.app, ["run", "--set", "train.steps=77", "--project", str(kept.root)])
    assert result.exit_code == 2
    assert "dvc.lock: conflict markers of a merge" in result.stderr
    assert kept.params_file.read_text() == before


def test_the_example_that_is_offered_exists() -> None:
    assert (REPOSITORY / Path(MNIST.split()[3])).is_file()


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ("sources.0.path=more/own.npz", "sources.0.path=inner/more/own.npz"),
        ("sources.0.path=s3://bucket/own.npz", "sources.0.path=s3://bucket/own.npz"),
        ("model.external=mine", "model.external=inner/mine"),
        ("model.external='my own'", "model.external=inner/my own"),
        ("model.external=~/mine", "model.external=/home/ann/mine"),
        ("model.external=/mine", "model.external=/mine"),
        ("model.preset=mine", "model.preset=mine"),
    ],
)
def test_paths_begin_where_the_command_is_typed(
    setting: str, written: str, kept: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept.root / "inner").mkdir()
    monkeypatch.chdir(kept.root / "inner")
    monkeypatch.setenv("HOME", "/home/ann")
    assert run.path_from_root(kept, setting) == written
