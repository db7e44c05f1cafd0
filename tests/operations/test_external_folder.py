"""The folder of an external model in copies of the project, and in a rebuild; what is said of it before a run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from operations import external_folder, preflight, simulate
from operations.preflight import RunPlan
from operations.promote import needs_noise_floor
from pipelines import noise
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.external import content
from pipelines.registry.client import Registry
from pipelines.settings.load import load_params, update_params
from pipelines.tuning import space
from tests.conftest import project_in
from tests.external import folders
from tests.support.kept_project import git

SETTINGS = ("sources=[{type: digits}]", "model.family=external", "model.preset=small")


@pytest.fixture
def external(kept: Project) -> Project:
    """A project with an external model in git, which has an environment of its own, out of git."""
    folder = folders.write(kept.root / "mine", python=".venv/bin/python")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    update_params(kept.params_file, settings=[*SETTINGS, "model.external=mine"])
    git(kept.root, "add", "-A")
    git(kept.root, "commit", "-q", "-m", "Mine")
    return kept


def test_a_copy_finds_the_folder_and_its_interpreter(external: Project, tmp_path: Path) -> None:
    out = tmp_path / "simulation"
    copy = simulate.copy_project(external, load_params(external.params_file), out / "project", excluded=out)
    model = load_params(copy.params_file).model
    assert model.folder == copy.root / "mine"
    assert (model.folder / ".venv/bin/python").is_file()


def test_a_folder_that_git_ignores_is_said_to_be_missing_in_a_copy(external: Project, tmp_path: Path) -> None:
    shutil.move(external.root / "mine", external.root / "ignored")
    with (external.root / ".gitignore").open("a") as file:
        file.write("\n/ignored/\n")
    params = update_params(external.params_file, settings=["model.external=ignored"])
    out = tmp_path / "simulation"
    with pytest.raises(
        InputError, match=r"ignored is not in the copy of the project, because git ignores it; .*its whole path"
    ):
        simulate.copy_project(external, params, out / "project", excluded=out)


def test_a_folder_beside_the_project_is_named_by_its_whole_path(external: Project, tmp_path: Path) -> None:
    folder = folders.write(external.root.parent / "beside")
    params = update_params(external.params_file, settings=["model.external=../beside"])
    assert external_folder.settings_in_copy(external, params, project_in(tmp_path / "copy")) == [f"model.external={folder}"]


class OneVersion:
    """A registry whose version 7 carries `content`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, folder: Path, number: int) -> int:
        shutil.copytree(self.folder, folder / external_folder.CODE)
        about = {
            "family": "external", "module": "external", "class_name": "ExternalGenerator", "preset": {}, "classes": [],
            "spec": {"size": 8, "channels": 1, "classes": 0}, "format": 1,
            "external": {"manifest": {}, "content": content.digest(self.folder)},
        }  # fmt: skip
        (folder / "model.json").write_text(json.dumps(about))
        return number


@pytest.mark.parametrize(("named", "other"), [("mine", None), ("lost/deep", None), ("/somewhere/gone", "external-model")])
def test_a_rebuild_gets_the_content_that_the_version_carries(
    named: str, other: str | None, external: Project, tmp_path: Path
) -> None:
    registry: Any = OneVersion(folders.write(tmp_path / "then", "print('then')", python=".venv/bin/python"))
    copy = project_in(tmp_path / "copy")
    shutil.copytree(external.root / "mine", copy.root / "mine", ignore=shutil.ignore_patterns(".venv"))
    settings = {"model": {"family": "external", "external": named}}
    assert external_folder.restore(external, registry, 7, settings, copy) == other
    folder = copy.root / (other or named)
    assert content.digest(folder) == content.digest(registry.folder)
    assert (folder / ".venv/bin/python").is_file() == (named == "mine")
    assert not (copy.logs / "version").exists()


def test_a_rebuild_finds_an_unchanged_folder_beside_the_project(external: Project, tmp_path: Path) -> None:
    folder = folders.write(external.root.parent / "beside")
    settings = {"model": {"family": "external", "external": "../beside"}}
    assert external_folder.restore(external, OneVersion(folder), 7, settings, project_in(tmp_path / "copy")) == str(folder)  # type: ignore[arg-type]


def test_a_rebuild_of_a_family_restores_nothing(external: Project, tmp_path: Path) -> None:
    assert external_folder.restore(external, None, 7, {"model": {"family": "gan"}}, project_in(tmp_path / "copy")) is None  # type: ignore[arg-type]


def plan_of(project: Project, *settings: str) -> RunPlan:
    params = update_params(project.params_file, settings=settings)
    return RunPlan(project, params, Registry.open(project, params.registry), preflight.ALL)


def test_before_a_run_the_interpreter_is_looked_for(external: Project) -> None:
    plan = plan_of(external)
    assert preflight.external(plan)[0] == "ok"
    (external.root / "mine/.venv/bin/python").unlink()
    finding = preflight.apply(preflight.external, plan)
    assert finding.state == "fail"
    assert "mine/.venv/bin/python: no such Python" in finding.words


def test_a_folder_outside_with_an_environment_in_it_is_a_warning(external: Project, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "outside")
    (folder / ".venv").mkdir()
    state, words = preflight.external(plan_of(external, f"model.external={folder}"))
    assert (state, "where DVC reads hidden folders too, each time (.venv)" in words) == ("warn", True)


def test_where_there_is_only_a_sampler_nothing_is_said_of_trainings(external: Project) -> None:
    folders.write(external.root / "mine", train=None)
    plan = plan_of(external, "train.init=champion", "train.batch_size=100000")
    assert preflight.batch(plan)[0] == preflight.init(plan)[0] == "ok"
    assert not needs_noise_floor(external, plan.params, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"the external model mine is only a sampler .* nothing to measure"):
        noise.measure(external, plan.params, lambda project, name: 0)


def test_tune_says_that_it_does_not_train_external_models(external: Project) -> None:
    with pytest.raises(InputError, match="the external model mine is trained by its own command"):
        space.check(load_params(external.params_file))


def test_a_training_with_another_seed_finds_the_folder(external: Project) -> None:
    for folder in noise.inputs(external):
        folder.mkdir(parents=True)
        (folder / "part").write_text(folder.name)
    trial = noise.seed_project(external, external.checkpoints / "noise-key/seed-3")
    noise.prepare(external, trial, 3)
    assert load_params(trial.params_file).model.folder == external.root / "mine"
