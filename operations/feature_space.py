"""The feature space in which two image sets are compared: one extractor, and one form for the images of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.form import Form
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.features.base import Extractor, ExtractorSettings, Features
from pipelines.scoring import benchmark, disk_arrays, views
from pipelines.scoring.image_sets import FileImageSet, ModelImageSet, Survey
from pipelines.settings.load import load_params

ImageSet = FileImageSet | ModelImageSet

SIZES = (4, 1024)  # pixels a side, as image.size in params.yaml
STEPS, SEED = 400, 0  # of an extractor that is fitted here, as in params.yaml
MAX_FIT_ROWS, MAX_FIT_BYTES = 50_000, 2**29  # images that it is fitted on


@dataclass(frozen=True)
class FeatureSpace:
    """extractor: with its name in the catalogue. classes: those that its probabilities may be over.
    fitted_on: (n,) bool, the rows of the reference set that the extractor has learned from."""

    name: str
    extractor: Extractor
    form: Form
    classes: list[str]
    fitted_on: np.ndarray

    def identity(self, survey: Survey) -> str:
        """The id of the benchmark that the surveyed reference set is in this space."""
        form = {key: value for key, value in asdict(self.form).items() if key != "denoise"}  # no image is denoised here
        with TemporaryFolder() as folder:
            self.extractor.save(Path(folder))
            return benchmark.benchmark_id(Path(folder), survey.ids.astype(str), self.name, {**form, "dtype": "float32"})

    def describe(self, image_set: ImageSet, count: int, chosen: np.ndarray | None = None) -> tuple[Features, np.ndarray]:
        """Of the `count` images, or of the `chosen` (count,) bool among them: features of all m, in unnamed temporary files,
        and the pixels (views.py) of those with the numbers views.pixel_rows(m)."""
        vectors, probabilities = (disk_arrays.temporary_writer(f"features of {image_set.name}") for _ in range(2))
        pixel_rows, pixels = views.pixel_rows(count if chosen is None else int(chosen.sum())), []
        first, described = 0, 0
        with Progress(f"features of {image_set.name}", count, "images") as progress:
            for chunk in chunks(image_set, self.form, count):
                selected = chunk if chosen is None else chunk[chosen[first : first + len(chunk)]]
                first += len(chunk)
                progress.advance(len(chunk))
                if not len(selected):
                    continue
                inside = (described <= pixel_rows) & (pixel_rows < described + len(selected))
                pixels.append(views.pixels(selected[pixel_rows[inside] - described]))
                described += len(selected)
                found = self.extractor.extract(selected)
                vectors.append(found.vectors)
                if found.probabilities is not None:
                    probabilities.append(found.probabilities)
        return stored_features(vectors.finish(), probabilities.finish() if probabilities.rows else None), np.concatenate(pixels)


def stored_features(vectors: disk_arrays.DiskArray, probabilities: disk_arrays.DiskArray | None = None) -> Features:
    """Features on disk: metrics only take slices of them, so arrays in memory are not needed."""
    return Features(vectors, probabilities)  # type: ignore[arg-type]


def benchmark_space(
    project: Project, channels: int, size: int | None, rows: int, log: Callable[[str], None]
) -> FeatureSpace | None:
    """The space of the project's benchmark; None where there is none, or it is for other channels or another size."""
    folder = project.reference
    if not (folder / "benchmark.json").is_file():
        return None
    try:
        about = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
        name, classes = str(about["extractor"]), list(about["classes"])
        shape = json.loads((folder / "extractor.json").read_text(encoding="utf-8")).get("shape")
    except (OSError, ValueError, KeyError, TypeError) as error:
        advice = "make it again (`genloop run`), or name an --extractor"
        raise InputError(f"{folder}: no usable benchmark ({error}); {advice}") from None
    params = load_params(project.params_file)
    image = params.image
    side, _, depth = shape or (image.size, image.size, image.channels)  # an extractor that is read from a file takes any
    if depth != channels or size not in (None, side):
        return None
    log(f"as the benchmark in {folder} sees them")
    extractor = catalogue.get(catalogue.FEATURES, name).load(folder)
    form = Form(side, depth, image.background, params.clean.fit, params.clean.filter)
    return FeatureSpace(name, extractor, form, classes, np.zeros(rows, bool))


def fit_space(
    name: str,
    reference: ImageSet,
    survey: Survey,
    size: int | None,
    settings: ExtractorSettings,
    log: Callable[[str], None],
) -> FeatureSpace:
    """The space of a new extractor, fitted on half of the reference set where it learns. size: None for that of all images."""
    channels: Any = 3 if survey.colour else 1
    form = Form(size or common_size(reference.name, survey), channels)
    fitted_on = rows_to_fit(name, survey, form)
    if fitted_on.any():
        log(f"`{name}` learns from a half of {reference.name}, and A is compared with the other half")
    order = np.argsort(survey.ids, kind="stable")  # by content
    order = order[fitted_on[order]]
    images = collect(reference, form, len(survey), order)
    extractor = catalogue.get(catalogue.FEATURES, name).fit(images, survey.labels[order], len(reference.classes), settings)
    return FeatureSpace(name, extractor, form, reference.classes, fitted_on)


def common_size(name: str, survey: Survey) -> int:
    """Pixels a side that all images of the set have."""
    (height, width), *others = sorted(survey.sizes)
    if not others and height == width and SIZES[0] <= height <= SIZES[1]:
        return height
    came = f"{height}x{width}"
    if others:
        came = f"{len(survey.sizes)} sizes from {came} to {'x'.join(map(str, others[-1]))}"
    raise InputError(
        f"{name} has images of {came}: give --size, {SIZES[0]} to {SIZES[1]:,} pixels a side, which all are brought to "
        "(the centre cut out, then resized)"
    )


def rows_to_fit(name: str, survey: Survey, form: Form) -> np.ndarray:
    """(n,) bool: the rows that the extractor may learn from, the same for the same images in any order and encoding.

    Features of images that an extractor learned from differ from those of all others, so A could never come near them: A is
    compared with the rest.
    """
    chosen = np.zeros(len(survey), bool)
    if catalogue.get(catalogue.FEATURES, name).learns:
        if len(survey) < 2:
            raise InputError(f"`{name}` learns from a half of B, which has one image; name another --extractor, or a larger B")
        most = min(MAX_FIT_ROWS, MAX_FIT_BYTES // int(np.prod(form.shape)))
        chosen[np.argsort(survey.ids, kind="stable")[1::2][:most]] = True  # by content
    return chosen


def collect(image_set: ImageSet, form: Form, count: int, order: np.ndarray) -> np.ndarray:
    """(k, *form.shape) uint8: those of the `count` images that have the numbers `order` (k,), in this order."""
    places = np.full(count, -1)
    places[order] = np.arange(len(order))
    images = np.empty((len(order), *form.shape), np.uint8)
    first = 0
    for chunk in chunks(image_set, form, count) if len(order) else ():
        place = places[first : first + len(chunk)]
        images[place[place >= 0]] = chunk[place >= 0]
        first += len(chunk)
    return images


def chunks(image_set: ImageSet, form: Form, count: int) -> Iterator[np.ndarray]:
    """All images of the set, which must still be `count`."""
    found = 0
    for chunk in image_set.chunks(form):
        found += len(chunk)
        if found <= count:
            yield chunk
    if found != count:
        raise GenloopError(f"{image_set.name}: {count:,} images, then {found:,}; score again when nothing changes them")
