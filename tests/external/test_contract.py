"""The contract of a sampler: each promise that it breaks is found, and said with how to mend it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import GenloopError
from pipelines.external import contract
from pipelines.models.base import ImageSpec


@dataclass
class Model:
    """Keeps the contract. fault: what it does wrong."""

    fault: str = ""
    deterministic: bool = True
    conditional: bool = True
    walks: bool = True
    spec: ImageSpec = field(default_factory=lambda: ImageSpec(8, 1, 2))
    classes: list[str] = field(default_factory=lambda: ["a", "b"])
    calls: int = 0

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


def states(model: Any) -> dict[str, str]:
    return {result.name: result.state for result in contract.examine(model)}


BATCHES = "batches of 3 and 5"


def test_a_model_that_keeps_it_has_no_failure() -> None:
    assert states(Model()) == dict.fromkeys(("draw", "twice", BATCHES, "variety", "labels", "walk"), "ok")
    contract.require(contract.examine(Model()))


@pytest.mark.parametrize(
    ("fault", "failed", "words"),
    [
        ("raises", ["draw"], "no weights; in sampler.py, line 3; mend what it says"),
        ("other size", ["draw"], r"came uint8 \(8, 4, 8, 1\), expected uint8 \(8, 8, 8, 1\)"),
        ("other type", ["draw"], "came float32"),
        ("all alike", ["variety"], "for 4 seeds all images of a class are the same; the model has collapsed"),
        ("other each time", ["twice", BATCHES, "walk"], "8 of 8 images are others for the same seeds; let everything random"),
        ("by batch", [BATCHES], "8 of 8 images are others"),
        ("walk turned round", ["walk"], "at its ends 8 of 8 images are not those of the seeds themselves"),
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
    assert [name for name, state in found.items() if state == "not to be had"] == ["twice", BATCHES, "walk"]
    found = states(Model(conditional=False, walks=False))
    assert [name for name, state in found.items() if state == "not to be had"] == ["labels", "walk"]


def test_that_labels_do_not_matter_is_only_noted() -> None:
    (result,) = [result for result in contract.examine(Model("no labels")) if result.name == "labels"]
    assert (result.state, "do not depend on the class" in result.words) == ("ok", True)
