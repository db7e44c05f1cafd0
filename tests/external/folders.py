"""External models for tests: folders with a trainer of a few lines, which needs the standard library alone, and a sampler."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipelines.core.project import Project
from pipelines.settings.schema import Params
from tests.training import rows

# What every trainer begins with: the job, and how a step is reported.
BEGINNING = """
import json, math, os, signal, subprocess, sys, time
from pathlib import Path

job = json.loads(Path(sys.argv[-1]).read_text())
result, checkpoints, previews = (Path(job[name]) for name in ("result", "checkpoints", "previews"))


def report(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


def finish():
    (result / "weights.bin").write_bytes(bytes(range(100)))


"""
GOOD = """
print("beginning", job["rows"], "rows")
for step in range(1, job["steps"] + 1):
    report(step, loss=1 / step, images_per_second=100.0, name="left out")
finish()
"""
SAMPLER = """
import numpy as np


class Sampler:
    def __init__(self, weights, about):
        self.about = about
        self.trained = (weights / "weights.bin").is_file()

    def draw(self, seeds, labels=None):
        return np.stack([self.image(int(seed), int(label)) for seed, label in zip(seeds, self.given(seeds, labels))])

    def given(self, seeds, labels):
        return [0] * len(seeds) if labels is None else labels

    def image(self, seed, label):
        shape = self.about["size"], self.about["size"], self.about["channels"]
        return np.random.default_rng([seed, label]).integers(0, 256, shape, np.uint8)
"""
MANIFEST: dict[str, Any] = {"train": "python train.py", "sampler": "sampler:Sampler", "presets": {"small": {"width": 4}}}


def write(folder: Path, body: str = GOOD, sampler: str = SAMPLER, **manifest: Any) -> Path:
    """A folder with such a trainer. manifest: keys over those of MANIFEST."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.yaml").open("w") as file:
        YAML().dump(json.loads(json.dumps({**MANIFEST, **manifest})), file)
    (folder / "train.py").write_text(BEGINNING + body)
    (folder / "sampler.py").write_text(sampler)
    return folder


def params_of(make_params: Callable[..., Params], folder: Path, changes: dict[str, Any] | None = None) -> Params:
    """Settings by which the model in `folder` is trained on what `rows.fill` writes."""
    own = {"model.family": "external", "model.external": str(folder), "model.preset": "small"}
    return make_params({**rows.TINY, **own, **(changes or {})})


def no_leftovers(project: Project) -> bool:
    """Whether no model, whole or in part, is there."""
    return not project.model.exists() and not list(project.data.glob(".*partial"))
