"""A GAN that learns from 500 images of one class: FID without augmentation and with the adaptive one.

    python -m benchmarks.few_shot mnist.npz
    python -m benchmarks.few_shot cifar10-train.parquet --flip

FID against the class's other training images, over the features of a `domain` extractor that learned all ten classes. Where a
training is stopped because what it draws has collapsed, its last checkpoint counts. The lowest FID of the training's course is
shown beside it, for one may stop in time, if one knows when.
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
from pipelines.settings.load import check_params, parse_yaml, read_text
from pipelines.settings.overlay import lay_over

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
    from pipelines.features.base import Settings
    from pipelines.features.domain import Domain

    images, labels = read(options.data)
    extractor = Domain.fit(images, labels, 10, Settings(steps=600, seed=0))
    of_class = images[labels == options.label]
    few, others = of_class[: options.rows], of_class[options.rows :]
    real = features(extractor, others)
    print(f"FID of the {len(few)} rows themselves: {distance(features(extractor, few), real):.3f}", flush=True)
    means = []
    for name, augment in (("without", {}), ("adaptive", {**CHANGES, "flip": options.flip})):
        found = []
        for seed in range(options.seeds):
            family, course, said = trained(few, augment, options.steps, seed, extractor, real)
            found.append(course[-1])
            print(f"{name}, seed {seed}: FID {course[-1]:.3f}, lowest {min(course):.3f}; {said}", flush=True)
            if options.out:
                page = grids.grid(draw(family, 64), columns=8)
                files.write(options.out / f"{name}-{seed}.png", grids.png(page))
        means.append(sum(found) / len(found))
    print(f"adaptive augmentation: {means[1] / means[0]:.2f} times the FID")


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, size, size, channels) uint8 and labels (n,) int32."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["x_train"][..., None], file["y_train"].astype(np.int32)
    table = pq.read_table(path, columns=["image", "label"])
    pictures = (Image.open(io.BytesIO(image["bytes"])) for image in table["image"].to_pylist())
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures]), table["label"].to_numpy().astype(np.int32)


def trained(
    few: np.ndarray, augment: dict[str, Any], steps: int, seed: int, extractor: Any, real: np.ndarray
) -> tuple[Any, list[float], str]:
    """The model, FID along its training, and how that ended."""
    from pipelines.models import base
    from pipelines.training import checkpoint, fitting, hardware, preview, watch
    from pipelines.training.dataset import Dataset

    document = parse_yaml(read_text(Path("params.yaml")), "params.yaml")
    settings = {"steps": steps, "batch_size": 64, "seed": seed, "preview_every": max(1, steps // 8), "augment": augment}
    lay_over(document, {"train": settings})
    train = check_params(document, "settings").train
    preset = catalogue.literal(catalogue.MODELS, "gan", "PRESETS")["small"]
    family = base.build(catalogue.get(catalogue.MODELS, "gan"), base.ImageSpec(few.shape[1], few.shape[3], 0), preset, seed)
    dataset = Dataset(few, np.zeros(len(few), np.int32), np.ones(len(few)), [], 0)
    course: list[float] = []
    epoch_end = watch.Watch.on_epoch_end

    def look(self: Any, epoch: int, logs: Any = None) -> None:
        with preview.averaged(self.model):
            course.append(distance(features(extractor, draw(self.model, SAMPLES)), real))
        epoch_end(self, epoch, logs)

    watch.Watch.on_epoch_end = look  # type: ignore[method-assign]
    said = "to the end"
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        checkpoints = Path(temporary) / "checkpoints"
        try:
            fitting.fit(family, dataset, train, hardware.chosen(train), checkpoints, Path(temporary) / "logs")
        except GenloopError as error:
            said = f"stopped: {error}"
            checkpoint.restore(checkpoints, family)
            preview.average(family)
        finally:
            watch.Watch.on_epoch_end = epoch_end  # type: ignore[method-assign]
    if augment:
        said += f"; augmented with probability {float(base.value(family.probability)):.2f} in the end"
    return family, course, said


def draw(family: Any, count: int) -> np.ndarray:
    from pipelines.models import base

    return base.draw(family, range(count))


def features(extractor: Any, images: np.ndarray) -> np.ndarray:
    found: np.ndarray = extractor.extract(images).vectors
    return found.astype(np.float64)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    from pipelines.metrics import fid

    return float(fid.distance(one, other))


if __name__ == "__main__":
    main()
