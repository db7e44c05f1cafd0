"""A GAN that learns from 500 images of one class: `fid_unbiased` without augmentation and with the adaptive one.

    python -m benchmarks.few_shot mnist.npz
    python -m benchmarks.few_shot cifar10-train.parquet --flip

Against the class's other training images, over the features of a `domain` extractor that learned all ten classes from every
other row, which neither the GAN nor the comparison sees. Where a training is stopped because its images have collapsed, its
last checkpoint counts. The lowest distance along the training is shown beside it, because one may stop in time, if one knows
when.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipelines import catalogue
from pipelines.core import backend, files, grids
from pipelines.core.errors import GenloopError
from pipelines.settings.load import check_params, lay_over, parse_yaml, read_text

SAMPLES = 5_000
CHANGES = {"shift": 0.1, "rotate": 8, "cutout": 0.4, "adaptive": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="mnist.npz in the Keras layout, or Parquet with columns image and label")
    parser.add_argument("--label", type=int, default=3)
    parser.add_argument("--flip", action="store_true", help="mirroring is among the changes")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep the grids here")
    options = parser.parse_args()
    backend.load()
    from pipelines.features.base import ExtractorSettings
    from pipelines.features.domain import Domain

    images, labels = read(options.data)
    extractor = Domain.fit(images[::2], labels[::2], 10, ExtractorSettings(steps=600, seed=0))
    of_class = images[1::2][labels[1::2] == options.label]
    few, others = of_class[: options.rows], of_class[options.rows :]
    real = features(extractor, others)
    print(f"fid_unbiased of the {len(few)} rows themselves: {distance(features(extractor, few), real):.3f}", flush=True)
    means = []
    for name, augment in (("without", {}), ("adaptive", {**CHANGES, "flip": options.flip})):
        found = []
        for seed in range(options.seeds):
            family, course, end = train(few, augment, options.steps, seed, extractor, real)
            found.append(course[-1])
            print(f"{name}, seed {seed}: fid_unbiased {course[-1]:.3f}, lowest {min(course):.3f}; {end}", flush=True)
            if options.out:
                page = grids.grid(generate(family, 64), columns=8)
                files.write(options.out / f"{name}-{seed}.png", grids.png(page))
        means.append(sum(found) / len(found))
    print(f"adaptive augmentation: {means[1] / means[0]:.2f} times the fid_unbiased")


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, size, size, channels) uint8 and labels (n,) int32."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["x_train"][..., None], file["y_train"].astype(np.int32)
    table = pq.read_table(path, columns=["image", "label"])
    pictures = (Image.open(io.BytesIO(image["bytes"])) for image in table["image"].to_pylist())
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures]), table["label"].to_numpy().astype(np.int32)


def train(
    few: np.ndarray, augment: dict[str, Any], steps: int, seed: int, extractor: Any, real: np.ndarray
) -> tuple[Any, list[float], str]:
    """The trained model, fid_unbiased along its training, and how the training ended."""
    import keras

    from pipelines.models import base
    from pipelines.training import checkpoint, fit, hardware, preview
    from pipelines.training.dataset import Dataset
    from pipelines.training.training_run import TrainingRun

    document = parse_yaml(read_text(Path("params.yaml")), "params.yaml")
    settings = {"steps": steps, "batch_size": 64, "seed": seed, "preview_every": max(1, steps // 8), "augment": augment}
    lay_over(document, {"train": settings})
    train = check_params(document, "settings").train
    gan = catalogue.get(catalogue.MODELS, "gan")
    family = base.build(gan, base.ImageSpec(few.shape[1], few.shape[3], 0), gan.presets["small"], seed)
    dataset = Dataset(few, np.zeros(len(few), np.int32), np.ones(len(few)), [], 0)
    course: list[float] = []

    class Course(keras.callbacks.Callback):
        """The distance after each preview; none after the one at which the training is stopped."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            with preview.averaged_weights(self.model):
                course.append(distance(features(extractor, generate(self.model, SAMPLES)), real))

    end = "to the end"
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        checkpoints = Path(temporary) / "checkpoints"
        run = TrainingRun(dataset, train, hardware.choose(train), checkpoints, Path(temporary) / "logs")
        try:
            fit.fit(family, run, [Course()])
        except GenloopError as error:
            end = f"stopped: {error}"
            checkpoint.restore(checkpoints, family)
            preview.set_averaged_weights(family)
    if augment:
        end += f"; augmented with probability {float(base.value(family.probability)):.2f} in the end"
    return family, course, end


def generate(family: Any, count: int) -> np.ndarray:
    from pipelines.models import base

    return base.draw(family, range(count))


def features(extractor: Any, images: np.ndarray) -> Any:
    from pipelines.metrics.base import FeatureRows

    return FeatureRows(extractor.extract(images).vectors.astype(np.float64))


def distance(generated: Any, real: Any) -> float:
    from pipelines.metrics import fid

    return float(fid.compare(generated, real).unbiased)


if __name__ == "__main__":
    main()
