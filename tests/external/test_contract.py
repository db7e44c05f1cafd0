"""The contract of a sampler: each promise that it breaks is found, and said with how to mend it."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import GenloopError
from pipelines.external import contract
from pipelines.models.base import ImageSpec
from pipelines.models.external import ExternalGenerator
from tests.support import external_model
from tests.support.external_model import SAMPLER


@dataclass
class Model:
    """Keeps the contract. fault: what it does wrong."""

    fault: str = ""
    deterministic: bool = True
    conditional: bool = True
    walks: bool = True
    varies: bool = True
    spec: ImageSpec = field(default_factory=lambda: ImageSpec(8, 1, 2))
    classes: list[str] = field(default_factory=lambda: ["a", "b"])
    calls: int = 0
    folder: Path = Path("a folder that is not there")

    def image(self, seed: int, label: int) -> np.ndarray:
        if self.fault == "all alike":
            seed = 0
        if self.fault == "other each time":
            seed += 1000 * self.calls
        return np.random.default_rng([seed, 0 if self.fault == "no labels" else label]).integers(0, 256, (8, 8, 1), np.uint8)

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.calls += 1
        if self.fault == "raises":
            raise RuntimeError("ValueError: no weights; in sampler.py, line 3")
        given = np.zeros(len(seeds), int) if labels is None else labels
        images = np.stack([self.image(int(seed), int(label)) for seed, label in zip(seeds, given, strict=True)])
        if self.fault == "by batch" and len(seeds) < contract.SEEDS:
            images = images + 1
        if self.fault == "other size":
            return images[:, :4]
        return images.astype(np.float32) if self.fault == "other type" else images

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if self.fault == "walk turned round":
            at = 1 - at
        return self.draw(np.where(at == 1, ends, starts), labels)

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
        if self.fault == "variations raise" and strength:
            raise RuntimeError("no noise")
        seeds = np.full(count, seed) + (np.arange(count) if strength or self.fault == "variations elsewhere" else 0)
        return self.draw(seeds, None if label is None else np.full(count, label))

    def check_weights(self) -> None:
        if self.fault == "writes":
            raise RuntimeError("weights: unknown: cache.bin")


def states(model: Any) -> dict[str, str]:
    return {result.name: result.state for result in contract.examine(model)}


BATCHES = "batches of 3 and 5"


def test_a_model_that_keeps_it_has_no_failure() -> None:
    assert states(Model()) == dict.fromkeys(
        ("draw", "twice", BATCHES, "variety", "labels", "walk", "variations", "model files"), "ok"
    )
    contract.require(contract.examine(Model()))


@pytest.mark.parametrize(
    ("fault", "failed", "words"),
    [
        ("raises", ["draw"], "no weights; in sampler.py, line 3; mend what it says"),
        ("other size", ["draw"], r"came uint8 \(8, 4, 8, 1\), expected uint8 \(8, 8, 8, 1\)"),
        ("other type", ["draw"], "came float32"),
        ("all alike", ["variety"], "for 4 seeds all images of a class are the same; the model has collapsed"),
        (
            "other each time",
            ["twice", BATCHES, "walk", "variations"],
            "8 of 8 images are others for the same seeds; let everything random",
        ),
        ("by batch", [BATCHES], "8 of 8 images are others"),
        ("walk turned round", ["walk"], "at its ends 8 of 8 images are not those of the seeds themselves"),
        (
            "variations elsewhere",
            ["variations"],
            "at strength 0 they are not the image of the seed itself; let variations give",
        ),
        ("variations raise", ["variations"], "no noise; mend what it says, or leave `variations` out of the sampler"),
        ("writes", ["model files"], "unknown: cache.bin; let the sampler write to the folder that the variable TMPDIR names"),
    ],
)
def test_each_promise_that_is_broken_is_found(fault: str, failed: list[str], words: str) -> None:
    results = contract.examine(Model(fault))
    assert [result.name for result in results if result.state == "failed"] == failed
    with pytest.raises(GenloopError, match=f"was not saved: .*{words}"):
        contract.require(results)
    assert all(result.advice for result in results if result.state == "failed")


def test_what_a_model_does_not_promise_is_not_to_be_had() -> None:
    found = states(Model("other each time", deterministic=False))
    assert [name for name, state in found.items() if state == "not to be had"] == ["twice", BATCHES, "walk", "variations"]
    found = states(Model(conditional=False, walks=False, varies=False))
    assert [name for name, state in found.items() if state == "not to be had"] == ["labels", "walk"]
    assert "variations" not in found


def test_that_labels_do_not_matter_is_only_noted() -> None:
    (result,) = [result for result in contract.examine(Model("no labels")) if result.name == "labels"]
    assert (result.state, "do not depend on the class" in result.words) == ("ok", True)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("(weights / 'cache.bin').touch()", "weights/cache.bin"),
        ("open('cache.bin', 'w').close()", "external/cache.bin"),  # it runs in the folder of its code
        ("open('sampler.py', 'a').write('# more')", "external/sampler.py"),
    ],
)
def test_a_sampler_that_writes_among_the_files_of_its_model_fails(tmp_path: Path, line: str, name: str) -> None:
    """The next start of its process would refuse them, or the version would be another one than was trained."""
    code = SAMPLER.replace("about):\n", f"about):\n        {line}\n")
    with closing(ExternalGenerator(external_model.write(tmp_path / "model", code))) as generator:
        (failed,) = [result for result in contract.examine(generator) if result.state == "failed"]
    assert failed.name == "model files"
    assert failed.words == f"the sampler has written {name} among the files of the model"


def test_what_python_compiles_and_temporary_files_are_no_fault(tmp_path: Path) -> None:
    line = "import sys, tempfile; sys.path.insert(0, str(weights)); import own; tempfile.mkstemp()"
    folder = external_model.write(tmp_path / "model", SAMPLER.replace("about):\n", f"about):\n        {line}\n"))
    (folder / "weights/own.py").write_text("")
    about = json.loads((folder / "model.json").read_text())
    about["external"]["files"]["own.py"] = hashlib.sha256(b"").hexdigest()
    (folder / "model.json").write_text(json.dumps(about))
    with closing(ExternalGenerator(folder)) as generator:
        assert [result for result in contract.examine(generator) if result.state == "failed"] == []
        generator.close()
        (folder / "weights/__pycache__").mkdir(exist_ok=True)
        (folder / "weights/__pycache__/own.pyc").touch()  # whether or not its Python has compiled anything
        assert len(generator.draw(np.arange(2))) == 2


VARIATIONS = """
    def variations(self, seeds, others, strength, labels):
        return self.draw(seeds + np.rint(strength * (others % 1000)).astype(int), labels)
"""


@pytest.mark.parametrize("classes", [None, []])
def test_variations_of_a_sampler_s_own_are_checked(tmp_path: Path, classes: list[str] | None) -> None:
    code = (
        SAMPLER.replace("labels):\n", "labels):\n        labels = [0] * len(seeds) if labels is None else labels\n")
        + VARIATIONS
    )
    with closing(ExternalGenerator(external_model.write(tmp_path / "model", code, classes=classes))) as generator:
        (result,) = [result for result in contract.examine(generator) if result.name == "variations"]
    assert (result.state, result.words) == ("ok", "at strength 0 the image itself; 3 of 3 at 0.5")
