"""genloop model: `new` writes a model that passes `check`, and `check` says what is wrong and how to mend it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner

import genloop


def call(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["model", *arguments], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def failures(*arguments: str) -> dict[str, str]:
    """What a check of exit code 2 says, by what failed: what came, and how to mend it."""
    found = call("check", *arguments, "--json")
    assert found.code == 2, found
    return {one["name"]: f"{one['words']} {one['advice']}" for one in json.loads(found.out) if one["state"] == "failed"}


@pytest.fixture(autouse=True)
def no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENLOOP_EXTERNAL_PYTHON", raising=False)


@pytest.fixture
def mine(elsewhere: Path) -> Path:
    """What `new` writes, in no project."""
    assert call("new", "mine").code == 0
    return elsewhere / "mine"


def test_what_new_writes_passes_the_check(mine: Path) -> None:
    assert {path.name for path in mine.iterdir()} == {"manifest.yaml", "train.py", "sampler.py", "README.md"}
    found = call("check", "mine", "--out", "picture.png")
    assert found.code == 0, found
    assert "failed" not in found.out
    assert all(name in found.out for name in ("manifest", "training", "twice", "walk"))
    with Image.open(mine.parent / "picture.png") as picture:
        assert min(picture.size) > 100
    assert not list(mine.rglob("__pycache__"))  # it is trained in a copy


def test_new_overwrites_nothing(mine: Path) -> None:
    again = call("new", "mine")
    assert again.code == 2
    assert "is not empty" in again.err
    (mine.parent / "file").write_text("")
    assert "is a file" in call("new", "file").err
    os.mkdir(mine.parent / "empty")
    assert call("new", "empty").code == 0


def test_a_folder_without_a_manifest_is_told_how_to_get_one(elsewhere: Path) -> None:
    assert "genloop model new" in failures("nowhere")["manifest"]


@pytest.mark.parametrize(
    ("file", "old", "new", "check", "words"),
    [
        ("manifest.yaml", "condition: classes", "conditon: classes", "manifest", "did you mean `condition`?"),
        ("manifest.yaml", "python: null", "python: .venv/bin/python", "python", "no such Python"),
        ("train.py", "def main(", "raise SystemExit(3)\n\n\ndef main(", "training", "exit code 3"),
        ("train.py", 'save(state, Path(job["result"]) / WEIGHTS)', "pass", "training", "left nothing"),
        ("manifest.yaml", "sampler:Sampler ", "sampler:Missing ", "draw", "has no 'Missing'"),
        (
            "sampler.py",
            "random = np.random.default_rng(seed)",
            "random = np.random.default_rng()",
            "twice",
            "deterministic: false",
        ),
        ("sampler.py", "default_rng(seed)", "default_rng(1)", "training", "the model collapsed"),
    ],
)
def test_each_fault_is_named_with_its_remedy(mine: Path, file: str, old: str, new: str, check: str, words: str) -> None:
    content = (mine / file).read_text()
    assert old in content
    (mine / file).write_text(content.replace(old, new))
    found = failures("mine")
    assert words in found[check]
    assert len(found) <= 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "4"], "image.size"),
        (["--preset", "huge"], "huge"),
    ],
)
def test_what_the_manifest_does_not_take_is_refused(mine: Path, arguments: list[str], words: str) -> None:
    assert words in failures("mine", *arguments)["manifest"]


SAMPLER = """
import numpy as np


class Sampler:
    def __init__(self, weights, about):
        self.shape = about["size"], about["size"], about["channels"]

    def draw(self, seeds, labels):
        return np.stack([self.image(seed, label) for seed, label in zip(seeds, labels)])

    def image(self, seed, label):
        return np.random.default_rng([seed, label]).integers(0, 256, self.shape, np.uint8)
"""


@pytest.fixture
def sampler_alone(mine: Path) -> Path:
    """The file of a sampler that nobody trains."""
    manifest = (mine / "manifest.yaml").read_text().replace("train: python train.py", "train: null")
    (mine / "manifest.yaml").write_text(manifest)
    (mine / "train.py").unlink()
    (mine / "sampler.py").write_text(SAMPLER)
    return mine / "sampler.py"


def test_a_sampler_alone_is_enough(sampler_alone: Path) -> None:
    found = call("check", "mine", "--json")
    assert found.code == 0, found
    states = {one["name"]: one["state"] for one in json.loads(found.out)}
    assert states["training"] == states["walk"] == "not to be had"


def test_one_that_ignores_the_seed_is_found_out_though_its_classes_differ(sampler_alone: Path) -> None:
    sampler_alone.write_text(SAMPLER.replace("[seed, label]", "[1, label]"))
    assert "does not use the seed" in failures("mine")["variety"]


def test_a_sampler_that_keeps_a_cache_in_its_weights_is_told_where_it_may(sampler_alone: Path) -> None:
    sampler_alone.write_text(SAMPLER.replace("about):\n", "about):\n        (weights / 'cache.bin').touch()\n"))
    assert "weights/cache.bin among the files of the model let the sampler write to" in failures("mine")["model files"]


def test_hidden_files_that_a_training_leaves_are_none_of_the_models(mine: Path) -> None:
    training = (mine / "train.py").read_text()
    line = 'save(state, Path(job["result"]) / WEIGHTS)'
    (mine / "train.py").write_text(training.replace(line, f'{line}; (Path(job["result"]) / ".cache").touch()'))
    assert call("check", "mine").code == 0


def test_the_picture_must_have_a_place(mine: Path) -> None:
    assert "ends in .png" in call("check", "mine", "--out", "picture.jpg").err
    assert "expected 1 or 3" in call("check", "mine", "--channels", "2").err
