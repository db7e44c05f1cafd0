"""How `fid_unbiased`, `told_apart` and approval by `legible` rank models of growing training: a part of `benchmarks.yardstick`.

Digits, every family, a training for each length. Where scores tell how good images are, their ranks agree, and go mostly with
the length of the training.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.instrument import Instrument, LabelledImages
from pipelines import catalogue
from pipelines.metrics import fid
from pipelines.models import base
from pipelines.settings.schema import TrainParams
from pipelines.tastes.base import RealRows
from pipelines.tastes.legible import Legible
from pipelines.training import fit, hardware
from pipelines.training.dataset import Dataset
from pipelines.training.training_run import TrainingRun

FAMILIES = {"gan": "small", "vae": "small", "diffusion": "small", "gan-dense": "small"}  # and their presets
LENGTHS = (50, 100, 200, 400, 800)  # steps
BATCH = 128
SAMPLES = 1500


@dataclass(frozen=True)
class Model:
    """Scores of a model of a family after so many steps."""

    family: str
    steps: int
    fid_unbiased: float
    told_apart: float
    legible: float

    @property
    def goodness(self) -> dict[str, float]:
        """Higher is better."""
        return {"length": self.steps, "FID": -self.fid_unbiased, "told apart": -self.told_apart, "legible": self.legible}


def run(by: Instrument, families: dict[str, str] = FAMILIES, lengths: Sequence[int] = LENGTHS, samples: int = SAMPLES) -> None:
    """Train, score and print."""
    learned, unseen = by.rows.learned, by.rows.unseen
    real = LabelledImages(np.concatenate([learned.images, unseen.images]), np.concatenate([learned.labels, unseen.labels]))
    taste = RealRows(real.images, real.labels, by.rows.classes)
    likes = Legible(name="legible").fit(taste)
    print("| family | steps | fid_unbiased | told apart | legible |\n| --- | --- | --- | --- | --- |")
    models = []
    for family, preset in families.items():
        for steps in lengths:
            model = train(real, by.rows.classes, family, preset, steps)
            labels = base.labels_for(model.spec, np.arange(samples), None)
            pictures = base.draw(model, range(samples), labels)
            if not model.spec.classes:  # of the class that it looks like most
                shown, labels = LabelledImages(pictures, np.full(samples, -1, np.int32)), taste.classifier.classes(pictures)
            else:
                shown = LabelledImages(pictures, labels)
            comparison = by.compare(shown)
            distance = fid.compare(comparison.generated, comparison.real).unbiased
            told_apart = catalogue.get(catalogue.METRICS, "told_apart")(comparison)["told_apart"].unbiased
            models.append(Model(family, steps, distance, told_apart, float(likes(pictures, labels).mean())))
            print(f"| {family} | {steps} | {distance:.3g} | {told_apart:.3f} | {models[-1].legible:.3f} |", flush=True)
    print("\n".join(["", "Spearman's correlations, 1 where both find the same models better:", "", *table(models)]))


def table(models: Sequence[Model]) -> list[str]:
    """Markdown: the correlations of each two of the scores and the length of the training, for each family and for all; - where
    one of them is the same for all models."""
    pairs = list(combinations(models[0].goodness, 2))
    lines = ["| | " + " | ".join(f"{a}, {b}" for a, b in pairs) + " |", "| ---" * (1 + len(pairs)) + " |"]
    families = list(dict.fromkeys(model.family for model in models))
    for name in [*families, *(["all"] if len(families) > 1 else [])]:
        goodness = [model.goodness for model in models if name in (model.family, "all")]
        found = [stats.spearmanr([one[a] for one in goodness], [one[b] for one in goodness]).statistic for a, b in pairs]
        lines.append(f"| {name} | " + " | ".join("-" if math.isnan(value) else f"{value:.2f}" for value in found) + " |")
    return lines


def train(real: LabelledImages, classes: list[str], name: str, preset: str, steps: int) -> base.Family:
    """A model with averaged weights, trained for so many steps."""
    family_class = catalogue.get(catalogue.MODELS, name)
    classes = classes if family_class.conditional else []
    settings = TrainParams(init="scratch", steps=steps, batch_size=BATCH, seed=0, preview_every=steps)
    spec = base.ImageSpec(real.images.shape[1], real.images.shape[3], len(classes))
    family = base.build(family_class, spec, family_class.presets[preset], settings.seed)
    labels = real.labels if classes else np.zeros(len(real), np.int32)
    dataset = Dataset(real.images, labels, np.ones(len(real)), classes, 0)
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary, redirect_stderr(io.StringIO()):
        folder = Path(temporary)
        fit.fit(family, TrainingRun(dataset, settings, hardware.choose(settings), folder / "checkpoints", folder / "logs"))
    return family
