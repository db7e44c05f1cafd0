from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import genloop
from pipelines.core import grids
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from tests.conftest import REPOSITORY

CLASSES = ["zero", "one", "two"]


class FlatSampler:
    """Draws a flat image whose grey is its label, in the first pixel its seed."""

    version = 7

    def __init__(self, conditional: bool = True) -> None:
        self.conditional = conditional
        self.classes = CLASSES if conditional else []

    def draw(self, seeds: np.ndarray, labels: np.ndarray) -> np.ndarray:
        assert seeds.dtype == np.int64
        assert labels.dtype == np.int32
        images = np.empty((len(seeds), 4, 4, 1), np.uint8)
        images[...] = 10 * labels[:, None, None, None]
        images[:, 0, 0, 0] = seeds % 256
        return images


@pytest.fixture
def sampler(project: Project, monkeypatch: pytest.MonkeyPatch) -> FlatSampler:
    """The registry has one version, which is the champion."""
    make(project.root)
    found = FlatSampler()

    def load(self: Registry, number: int | None = None) -> FlatSampler:
        assert self.project.root == project.root
        if number not in (None, 7):
            raise InputError(f"no version {number}; its versions: 7")
        return found

    def description(self: Registry, number: int | None = None) -> dict[str, Any]:
        classes = load(self, number).classes
        return {"family": "gan", "classes": classes, "spec": {"size": 4, "channels": 1, "classes": len(classes)}}

    monkeypatch.setattr(Registry, "load", load)
    monkeypatch.setattr(Registry, "description", description)
    monkeypatch.chdir(project.root)
    return found


def make(folder: Path) -> None:
    """A project without stages."""
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (folder / "dvc.yaml").write_text("stages: {}\n")


def call(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, list(arguments))
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def light(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """In a process of its own, in which everything that takes long to import is missing."""
    heavy = ("tensorflow", "keras", "prefect", "mlflow", "dvc", "great_expectations", "sklearn", "pandas")
    program = f"import sys; sys.modules.update(dict.fromkeys({heavy})); import genloop; genloop.main()"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_help_loads_nothing_heavy() -> None:
    done = light("--help")
    assert all(name in done.stdout for name in ("run", "generate", "status", "doctor"))


def test_where_the_working_directory_is_in_no_project_the_one_that_is_taken_is_named(elsewhere: Path) -> None:
    assert f"in no project, so it is {REPOSITORY}; --project DIR" in call("run", "--set", "train.steps").err
    assert "in no project" not in call("run", "--project", str(REPOSITORY), "--set", "train.steps").err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.stepz=5", "train.stepz: unknown key (came 5); did you mean `steps`?"),
        ("train.steps=many", "train.steps:"),
        ("train.steps", "expected key=value"),
    ],
)
def test_a_fault_in_a_setting_is_said_before_anything_heavy_loads_and_nothing_is_written(
    sampler: FlatSampler, project: Project, setting: str, words: str
) -> None:
    before = (project.root / "params.yaml").read_text()
    done = light("run", "--set", setting, folder=project.root)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (project.root / "params.yaml").read_text() == before


def test_a_missing_overlay_is_unusable_input(sampler: FlatSampler) -> None:
    result = call("run", "--params", "nowhere.yaml")
    assert result.code == 2
    assert "nowhere.yaml: no such file" in result.err


def test_npz_holds_images_labels_and_seeds(sampler: FlatSampler, project: Project) -> None:
    assert call("generate", "--count", "5", "--seed", "10", "--out", "some.npz").code == 0
    with np.load(project.root / "some.npz") as arrays:
        assert arrays["images"].shape == (5, 4, 4, 1)
        assert arrays["images"].dtype == np.uint8
        assert arrays["seeds"].tolist() == [10, 11, 12, 13, 14]
        assert arrays["labels"].tolist() == [1, 2, 0, 1, 2]  # seed % classes: whatever the count, a seed has one class
        assert arrays["images"][:, 0, 0, 0].tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("label", ["two", "2"])
def test_a_label_is_a_name_or_an_index(sampler: FlatSampler, project: Project, label: str) -> None:
    assert call("generate", "--count", "3", "--label", label, "--out", "some.npz").code == 0
    assert np.load(project.root / "some.npz")["labels"].tolist() == [2, 2, 2]


def test_a_picture_has_a_row_for_each_class(sampler: FlatSampler, project: Project) -> None:
    assert call("generate", "--count", "12", "--out", "grid.png").code == 0
    with Image.open(project.root / "grid.png") as picture:
        assert picture.height == 3 * (64 + grids.GAP) + grids.GAP
        right = picture.width - grids.GAP - 32
        greys = [picture.getpixel((right, grids.GAP + 32 + row * (64 + grids.GAP))) for row in range(3)]
    assert greys == [(0, 0, 0), (10, 10, 10), (20, 20, 20)]


def test_out_is_relative_to_where_the_user_stands(
    sampler: FlatSampler, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "below").mkdir()
    monkeypatch.chdir(project.root / "below")
    assert call("generate", "--count", "1", "--out", "one.npz").code == 0
    assert (project.root / "below" / "one.npz").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "0", "--out", "a.png"], "--count 0: expected 1 to 4,096 for a .png file"),
        (["--count", "9999", "--out", "a.png"], "--count 9999: expected 1 to 4,096"),
        (["--count", "1", "--out", "a.jpg"], "--out a.jpg: expected a name that ends in .png or .npz"),
        (["--count", "1", "--out", "nowhere/a.png"], "its folder does not exist"),
        (["--count", "1", "--seed", "-1", "--out", "a.png"], "--seed -1: expected 0 to"),
        (["--count", "1", "--label", "three", "--out", "a.png"], "--label three: expected one of zero, one, two"),
        (["--count", "1", "--label", "3", "--out", "a.png"], "or an index below 3"),
        (["--count", "1", "--version", "8", "--out", "a.png"], "no version 8"),
        (["--count", "many", "--out", "a.png"], "Invalid value for '--count'"),
    ],
)
def test_what_generate_cannot_use_it_refuses(sampler: FlatSampler, project: Project, arguments: list[str], words: str) -> None:
    result = call("generate", *arguments)
    assert result.code == 2
    assert words in result.err
    assert not list(project.root.glob("a.*"))


def test_a_model_without_classes_takes_no_label(sampler: FlatSampler, project: Project) -> None:
    sampler.conditional, sampler.classes = False, []
    result = call("generate", "--count", "1", "--label", "0", "--out", "a.png")
    assert result.code == 2
    assert "takes no labels" in result.err
    assert call("generate", "--count", "20", "--out", "a.png").code == 0


def test_before_there_is_a_model_generate_says_how_to_make_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    make(project.root)
    monkeypatch.chdir(project.root)
    result = call("generate", "--count", "1", "--out", "a.png")
    assert result.code == 2
    assert "`genloop run` makes one" in result.err


COMMANDS = [
    "run", "generate", "score", "import-feedback", "fold", "promote", "rollback", "history", "rebuild", "pull", "up", "studio",
    "why", "influence", "forget", "tune", "simulate", "gc", "backup", "restore", "status", "doctor",
]  # fmt: skip


def test_every_command_takes_a_project() -> None:
    assert sorted(COMMANDS) == sorted(str(command.name) for command in genloop.app.registered_commands)
    assert "--project" in call("--help").out
    for command in COMMANDS:
        assert "--project" in call(command, "--help").out, command
    (group,) = genloop.app.registered_groups
    assert [command.name for command in group.typer_instance.registered_commands] == ["new", "check"]
    for name in ("new", "check"):
        assert "--project" in call("model", name, "--help").out, name


def test_a_project_is_found_from_a_folder_in_it_and_a_command_s_own_option_counts_for_more(
    sampler: FlatSampler, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "data").mkdir()
    make(tmp_path / "other")
    monkeypatch.chdir(tmp_path.parent)  # in neither
    asked = ("generate", "--count", "1", "--out", str(tmp_path / "one.npz"))
    inside, other = str(project.root / "data"), str(tmp_path / "other")
    assert call("--project", inside, *asked).code == 0
    assert call(*asked, "--project", inside).code == 0
    assert call("--project", other, *asked, "--project", inside).code == 0
    assert isinstance(CliRunner().invoke(genloop.app, ["--project", other, *asked]).exception, AssertionError)


def test_a_folder_in_no_project_is_unusable_input(tmp_path: Path) -> None:
    result = call("status", "--project", str(tmp_path))
    assert result.code == 2
    assert f"genloop: {tmp_path}: no project; expected a folder with dvc.yaml and params.yaml in it" in result.err


def test_doctor_fails_with_a_fault_and_says_it(sampler: FlatSampler, project: Project) -> None:
    (project.root / "params.yaml").write_text("nothing: 1\n")
    result = call("doctor")
    assert result.code == 1
    lines = {line.split()[1]: line for line in result.out.splitlines() if line[:4] in ("ok  ", "warn", "fail")}
    assert lines["params"].startswith("fail")
    assert lines["python"].startswith("ok")
    assert "dvc init" in lines["graph"]


def test_an_error_of_our_own_keeps_its_traceback(sampler: FlatSampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "draw", lambda *_: 1 / 0)
    result = CliRunner().invoke(genloop.app, ["generate", "--count", "1", "--out", "a.png"])
    assert isinstance(result.exception, ZeroDivisionError)
