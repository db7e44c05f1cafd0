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
from pipelines.registry import client

REPOSITORY = Path(__file__).resolve().parents[1]
CLASSES = ["zero", "one", "two"]


class FakeDrawer:
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
def drawer(project: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDrawer:
    """The registry has one version, which is the champion."""
    (project / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (project / "dvc.yaml").write_text("stages: {}\n")
    found = FakeDrawer()

    def load(params: Any, version: int | None = None) -> FakeDrawer:
        if version not in (None, 7):
            raise InputError(f"no version {version}; its versions: 7")
        return found

    monkeypatch.setattr(client, "load", load)
    return found


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


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.stepz=5", "train.stepz: unknown key (came 5); did you mean `steps`?"),
        ("train.steps=many", "train.steps:"),
        ("train.steps", "expected key=value"),
    ],
)
def test_a_fault_in_a_setting_is_said_before_anything_heavy_loads_and_nothing_is_written(
    drawer: FakeDrawer, project: Path, setting: str, words: str
) -> None:
    before = (project / "params.yaml").read_text()
    done = light("run", "--set", setting, folder=project)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "params.yaml").read_text() == before


def test_a_missing_overlay_is_unusable_input(drawer: FakeDrawer) -> None:
    result = call("run", "--params", "nowhere.yaml")
    assert result.code == 2
    assert "nowhere.yaml: no such file" in result.err


def test_npz_holds_images_labels_and_seeds(drawer: FakeDrawer, project: Path) -> None:
    assert call("generate", "--count", "5", "--seed", "10", "--out", "some.npz").code == 0
    with np.load(project / "some.npz") as arrays:
        assert arrays["images"].shape == (5, 4, 4, 1)
        assert arrays["images"].dtype == np.uint8
        assert arrays["seeds"].tolist() == [10, 11, 12, 13, 14]
        assert arrays["labels"].tolist() == [1, 2, 0, 1, 2]  # seed % classes: whatever the count, a seed has one class
        assert arrays["images"][:, 0, 0, 0].tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("label", ["two", "2"])
def test_a_label_is_a_name_or_an_index(drawer: FakeDrawer, project: Path, label: str) -> None:
    assert call("generate", "--count", "3", "--label", label, "--out", "some.npz").code == 0
    assert np.load(project / "some.npz")["labels"].tolist() == [2, 2, 2]


def test_a_picture_has_a_row_for_each_class(drawer: FakeDrawer, project: Path) -> None:
    assert call("generate", "--count", "12", "--out", "grid.png").code == 0
    with Image.open(project / "grid.png") as picture:
        assert picture.height == 3 * (64 + grids.GAP) + grids.GAP
        right = picture.width - grids.GAP - 32
        greys = [picture.getpixel((right, grids.GAP + 32 + row * (64 + grids.GAP))) for row in range(3)]
    assert greys == [(0, 0, 0), (10, 10, 10), (20, 20, 20)]


def test_out_is_relative_to_where_the_user_stands(drawer: FakeDrawer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert call("generate", "--count", "1", "--out", "one.npz").code == 0
    assert (project / "below" / "one.npz").is_file()


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
def test_what_generate_cannot_use_it_refuses(drawer: FakeDrawer, project: Path, arguments: list[str], words: str) -> None:
    result = call("generate", *arguments)
    assert result.code == 2
    assert words in result.err
    assert not list(project.glob("a.*"))


def test_a_model_without_classes_takes_no_label(drawer: FakeDrawer, project: Path) -> None:
    drawer.conditional, drawer.classes = False, []
    result = call("generate", "--count", "1", "--label", "0", "--out", "a.png")
    assert result.code == 2
    assert "draws without labels" in result.err
    assert call("generate", "--count", "20", "--out", "a.png").code == 0


def test_before_there_is_a_model_generate_says_how_to_make_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (project / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (project / "dvc.yaml").write_text("stages: {}\n")
    result = call("generate", "--count", "1", "--out", "a.png")
    assert result.code == 2
    assert "`genloop run` makes one" in result.err


def test_doctor_fails_with_a_fault_and_says_it(drawer: FakeDrawer, project: Path) -> None:
    (project / "params.yaml").write_text("nothing: 1\n")
    result = call("doctor")
    assert result.code == 1
    lines = {line.split()[1]: line for line in result.out.splitlines() if line[:4] in ("ok  ", "warn", "fail")}
    assert lines["params"].startswith("fail")
    assert lines["python"].startswith("ok")
    assert "dvc init" in lines["graph"]


def test_an_error_of_our_own_keeps_its_traceback(drawer: FakeDrawer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawer, "draw", lambda *_: 1 / 0)
    result = CliRunner().invoke(genloop.app, ["generate", "--count", "1", "--out", "a.png"])
    assert isinstance(result.exception, ZeroDivisionError)
