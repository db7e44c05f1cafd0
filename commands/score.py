"""genloop score: the metrics between any two sets of images, or of features. It needs no project around it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipelines import catalogue
from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.load import load_params

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from pipelines.features.base import Extractor, Features
    from pipelines.metrics.base import Trial
    from pipelines.metrics.inputs import Steps
    from pipelines.metrics.intervals import Estimate
    from pipelines.scoring.disk_arrays import Stored
    from pipelines.scoring.image_sets import Files, Form, Model, Survey
    from pipelines.scoring.scores import Scores

NONE = "none"  # in place of an extractor: the files hold features
SIZES = (4, 1024)  # pixels a side, as image.size in params.yaml
COUNT = 10_000  # images that a model draws where nothing says how many
SEEDS = 2**31  # all seeds are below
STEPS, SEED = 400, 0  # of an extractor that is trained here, as in params.yaml
MOST_ROWS, MOST_BYTES = 50_000, 2**29  # images that it is trained on

# Why a metric that was asked for has nothing to say; the others go by features alone.
NEEDS = {
    "approval": "the model of what people like; `genloop run` has it",
    "class_accuracy": "labels of the same classes in A and B, and an extractor that tells those classes apart",
    "class_fid": "labels of the same classes in A and B",
    "inception_score": "an extractor that knows classes",
    "memorisation": "the training rows of a model; `genloop run` has them",
    "path_length": "as A a registered model that can be walked through",
}


@dataclass(frozen=True)
class Asked:
    """What was asked for; None where it is left to us."""

    extractor: str | None = None
    metrics: str | None = None
    size: int | None = None
    count: int | None = None
    seed: int = 0
    weights: str | None = None
    sha256: str | None = None

    @property
    def names(self) -> list[str]:
        return list(catalogue.METRICS) if self.metrics is None else [name.strip() for name in self.metrics.split(",")]


@dataclass(frozen=True)
class Sight:
    """What looks at both sides: an extractor by its name, in which form it gets the images, which classes it may know, and
    which rows of B, (n,) bool, it has learned from."""

    name: str
    extractor: Extractor
    form: Form
    classes: list[str]
    learned: np.ndarray


def score(a: str, b: str, asked: Asked, as_json: bool) -> None:
    check(a, b, asked)
    trial = of_features(a, b) if asked.extractor == NONE else of_images(a, b, asked)
    found = measured(trial, asked)
    print(json.dumps(found.flat(), indent=2)) if as_json else show(found, a, b)


def check(a: str, b: str, asked: Asked) -> None:
    for name in asked.names:
        if name not in catalogue.METRICS:
            raise InputError(f"--metrics: {catalogue.unknown(name, catalogue.METRICS)}")
    extractors = [*catalogue.FEATURES, NONE]
    if asked.extractor is not None and asked.extractor not in extractors:
        raise InputError(f"--extractor: {catalogue.unknown(asked.extractor, extractors)}")
    models = [place for place in (a, b) if place.startswith("models:/")]
    if asked.extractor == NONE:
        given = [name for name in ("size", "count", "weights", "sha256") if getattr(asked, name) is not None]
        if given or models:
            came = models[0] if models else f"--{given[0]}"
            raise InputError(f"{came} with --extractor none: features have no images; leave one of them out")
    if asked.size is not None and not SIZES[0] <= asked.size <= SIZES[1]:
        raise InputError(f"--size {asked.size}: expected {SIZES[0]} to {SIZES[1]:,} pixels a side")
    if asked.count is not None and not models:
        raise InputError(f"--count {asked.count}: neither A nor B is a model, and of files all images are taken; leave it out")
    if asked.count is not None and not 2 <= asked.count <= 1_000_000:
        raise InputError(f"--count {asked.count}: expected 2 to 1,000,000 images")
    if not 0 <= asked.seed < SEEDS // 2:
        raise InputError(f"--seed {asked.seed}: expected 0 to {SEEDS // 2 - 1}")
    check_file(asked)


def check_file(asked: Asked) -> None:
    """The file of an extractor that is read from one."""
    name = asked.extractor
    from_file = name not in (None, NONE) and catalogue.literal(catalogue.FEATURES, str(name), "FROM_FILE")
    given = [f"--{option}" for option in ("weights", "sha256") if getattr(asked, option) is not None]
    if from_file and len(given) < 2:
        raise InputError(
            f"--extractor {name} is read from a file: give --weights, its path or URL, and --sha256, its checksum; "
            "docs/metrics.md has both"
        )
    if given and not from_file:
        raise InputError(f"{given[0]}: goes with an extractor that is read from a file, as --extractor inception is")
    if asked.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", asked.sha256):
        raise InputError(f"--sha256 {asked.sha256}: expected 64 hexadecimal digits, as sha256sum prints them")


def of_features(a: str, b: str) -> Trial:
    """Of two files that hold features."""
    import numpy as np

    from pipelines.metrics.base import Trial
    from pipelines.metrics.inputs import Benchmark, Drawn
    from pipelines.scoring import disk_arrays

    drawn, real = (disk_arrays.load(Path(place), "features") for place in (a, b))
    if drawn.shape[1] != real.shape[1]:
        raise InputError(
            f"features of different widths cannot be compared: {a} has {drawn.shape[1]:,} numbers in a row, {b} has "
            f"{real.shape[1]:,}; use the same extractor for both"
        )
    for place, rows in ((a, drawn), (b, real)):
        if not len(rows):
            raise InputError(f"{place}: no rows in it")
    disk_arrays.digest(drawn)  # looks for numbers that are not finite
    identity = hashlib.sha256(f"{disk_arrays.digest(real)} {NONE} {real.dtype}".encode()).hexdigest()[:16]
    labels = np.full(len(real), -1, np.int32)
    return Trial(Drawn(features(drawn, None), None), Benchmark(identity, [], features(real, None), labels, of_classes=False))


def of_images(a: str, b: str, asked: Asked) -> Trial:
    """Of two sets of images, by an extractor that sees both in the same form."""
    from pipelines.core import backend
    from pipelines.metrics.base import Trial
    from pipelines.metrics.inputs import Benchmark, Drawn
    from pipelines.scoring import image_sets

    drawn, real = (opened(place) for place in (a, b))  # what is missing is said first
    if isinstance(real, image_sets.Model):
        count = asked.count or COUNT
        first = asked.seed + (count if isinstance(drawn, image_sets.Model) else 0)  # the two must not share their noise
        real = real.asked(seeds(first, count), None)
    survey = real.survey(identify=True)
    if isinstance(drawn, image_sets.Model):
        count = asked.count or min(COUNT, len(survey))
        drawn = drawn.asked(seeds(asked.seed, count), alike(drawn.classes, real.classes, survey, count))
    seen = drawn.survey(identify=False)
    if seen.colour and not survey.colour:
        say(f"{a} has colours and {b} has none: both are compared in grey")

    backend.load()
    sight = chosen(asked, real, survey)
    say(f"features by `{sight.name}`, {sight.extractor.how}, of images {'x'.join(map(str, sight.form.shape))}")
    labels = named(seen.labels, drawn.classes, real.classes)
    fresh = ~sight.learned
    steps = None
    if isinstance(drawn, image_sets.Model) and hasattr(drawn.drawer, "walk") and "path_length" in asked.names:
        steps = walk(drawn, sight)
    benchmark = Benchmark(
        benchmark_id(survey, sight),
        real.classes if labels is not None else [],
        extract(real, sight, len(survey), fresh),
        survey.labels[fresh],
        of_classes=sight.extractor.of_classes and sight.classes == real.classes,
    )
    return Trial(Drawn(extract(drawn, sight, len(seen)), labels, steps), benchmark)


def opened(place: str) -> Files | Model:
    from pipelines.scoring import image_sets

    if not image_sets.is_model(place):
        return image_sets.files(place)
    root = project()
    if root is None and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise InputError(f"{place}: set MLFLOW_TRACKING_URI to your registry, or score in the project that has one")
    with contextlib.chdir(root or Path.cwd()):
        return image_sets.model(place)


def project() -> Path | None:
    """The project that the working directory is in."""
    root = paths.root()
    return root if Path.cwd().resolve().is_relative_to(root) else None


def seeds(first: int, count: int) -> np.ndarray:
    import numpy as np

    return np.arange(first, first + count, dtype=np.int64)


def alike(own: list[str], classes: list[str], survey: Survey, count: int) -> np.ndarray | None:
    """(count,) int32: B's classes in B's shares, as the model numbers them; None where they are not the same classes."""
    from pipelines.scoring import generated

    return named(generated.like_the_holdout(survey.labels, count), classes, own)


def named(labels: np.ndarray, own: list[str], classes: list[str]) -> np.ndarray | None:
    """(n,) int32 labels as indices into `classes`; None where a row has none, or the classes are not the same."""
    import numpy as np

    if not own or sorted(own) != sorted(classes) or (labels < 0).any():
        return None
    return np.array([classes.index(name) for name in own], np.int32)[labels]


def chosen(asked: Asked, real: Files | Model, survey: Survey) -> Sight:
    """As asked for, else by the benchmark around, else an extractor that is trained on B."""
    from pipelines.scoring.image_sets import Form

    channels: Any = 3 if survey.colour else 1
    if asked.extractor is None:
        if (found := pinned(channels, asked.size, len(survey))) is not None:
            return found
        say("no benchmark around that fits: by `domain`")
    name = asked.extractor or "domain"
    form = Form(asked.size or size(real.name, survey), channels)
    learned = half(name, survey, form)
    if learned.any():
        say(f"`{name}` learns from a half of {real.name}, and A is compared with the other half")
    return Sight(name, fitted(name, real, survey, form, asked, learned), form, real.classes, learned)


def pinned(channels: int, size: int | None, rows: int) -> Sight | None:
    """By the benchmark of the project around; None where there is none for images of so many channels, or of this size."""
    import numpy as np

    from pipelines.scoring.image_sets import Form

    root = project()
    folder = (root or Path()) / paths.REFERENCE
    if root is None or not (folder / "benchmark.json").is_file():
        return None
    try:
        about = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
        name, classes = str(about["extractor"]), list(about["classes"])
        shape = json.loads((folder / "extractor.json").read_text(encoding="utf-8")).get("shape")
    except (OSError, ValueError, KeyError, TypeError) as error:
        advice = "make it again (`genloop run`), or name an --extractor"
        raise InputError(f"{folder}: no usable benchmark ({error}); {advice}") from None
    params = load_params(root / paths.PARAMS)
    image = params.image
    side, _, depth = shape or (image.size, image.size, image.channels)  # an extractor that is read from a file takes any
    if depth != channels or size not in (None, side):
        return None
    say(f"as the benchmark in {folder} sees them")
    extractor = catalogue.get(catalogue.FEATURES, name).load(folder)
    form = Form(side, depth, image.background, params.clean.fit, params.clean.filter)
    return Sight(name, extractor, form, classes, np.zeros(rows, bool))


def size(name: str, survey: Survey) -> int:
    """Pixels a side that all of B's images have."""
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


def half(name: str, survey: Survey, form: Form) -> np.ndarray:
    """(n,) bool: the rows of B that the extractor may learn from, the same for the same images in any order and encoding.

    What it learned from looks otherwise to it than any other image, so A could never come near: it is compared with the rest.
    """
    import numpy as np

    learned = np.zeros(len(survey), bool)
    if catalogue.literal(catalogue.FEATURES, name, "LEARNS"):
        if len(survey) < 2:
            raise InputError(f"`{name}` learns from a half of B, which has one image; name another --extractor, or a larger B")
        most = min(MOST_ROWS, MOST_BYTES // int(np.prod(form.shape)))
        learned[np.argsort(survey.ids, kind="stable")[1::2][:most]] = True  # by content
    return learned


def fitted(name: str, real: Files | Model, survey: Survey, form: Form, asked: Asked, learned: np.ndarray) -> Extractor:
    """An extractor that has seen the `learned` rows of B, ordered by their content."""
    import numpy as np

    from pipelines.features.base import Settings

    order = np.argsort(survey.ids, kind="stable")
    order = order[learned[order]]
    places = np.full(len(survey), -1)
    places[order] = np.arange(len(order))
    images = np.empty((len(order), *form.shape), np.uint8)
    first = 0
    for chunk in chunks(real, form, len(survey)) if len(order) else ():
        place = places[first : first + len(chunk)]
        images[place[place >= 0]] = chunk[place >= 0]
        first += len(chunk)
    settings = Settings(STEPS, SEED, asked.weights, asked.sha256)
    return catalogue.get(catalogue.FEATURES, name).fit(images, survey.labels[order], len(real.classes), settings)


def chunks(side: Files | Model, form: Form, count: int) -> Iterator[np.ndarray]:
    """All images of a side, which must still be `count`."""
    came = 0
    for chunk in side.chunks(form):
        came += len(chunk)
        if came <= count:
            yield chunk
    if came != count:
        raise GenloopError(f"{side.name}: {count:,} images, then {came:,}; score again when nothing writes there")


def extract(side: Files | Model, sight: Sight, count: int, wanted: np.ndarray | None = None) -> Features:
    """Chunk by chunk into files without names; of the `wanted` rows, (count,) bool, where that is given."""
    from pipelines.core.progress import Progress
    from pipelines.scoring import disk_arrays

    vectors, probabilities = (disk_arrays.nameless(f"features of {side.name}") for _ in range(2))
    first = 0
    with Progress(f"features of {side.name}", count, "images") as progress:
        for chunk in chunks(side, sight.form, count):
            some = chunk if wanted is None else chunk[wanted[first : first + len(chunk)]]
            first += len(chunk)
            progress.advance(len(chunk))
            if not len(some):
                continue
            found = sight.extractor.extract(some)
            vectors.append(found.vectors)
            if found.probabilities is not None:
                probabilities.append(found.probabilities)
    return features(vectors.finish(), probabilities.finish() if probabilities.rows else None)


def features(vectors: Stored, probabilities: Stored | None) -> Features:
    """Metrics take slices of either, and so need no arrays."""
    from pipelines.features.base import Features

    return Features(vectors, probabilities)  # type: ignore[arg-type]


def walk(model: Model, sight: Sight) -> Steps:
    from pipelines.scoring import generated

    walker: Any = SimpleNamespace(walk=partial(model.walk, sight.form))
    return generated.walk(walker, sight.extractor, model.seeds, model.labels)


def benchmark_id(survey: Survey, sight: Sight) -> str:
    from pipelines.scoring import benchmark

    with tempfile.TemporaryDirectory(prefix="genloop-") as folder:
        sight.extractor.save(Path(folder))
        return benchmark.identity(Path(folder), survey.ids.astype(str), sight.name, {**asdict(sight.form), "dtype": "float32"})


def measured(trial: Trial, asked: Asked) -> Scores:
    from pipelines.core.progress import Progress
    from pipelines.scoring import scores

    found = scores.Scores(trial.benchmark.id, len(trial.fake), {})
    with Progress("metrics", len(asked.names), "metrics") as progress:
        for name in asked.names:
            part = scores.measure(trial, [name])
            if asked.metrics is not None and not (part.values or part.tables or part.missing):
                part = replace(part, missing={name: f"{name} needs {NEEDS.get(name, 'other inputs')}"})
            found = replace(
                found,
                values=found.values | part.values,
                tables=found.tables | part.tables,
                missing=found.missing | part.missing,
            )
            progress.advance(note=name)
    return found


def show(found: Scores, a: str, b: str) -> None:
    from rich.console import Console

    from pipelines.evaluation import page

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{a} against {b}", style="bold", markup=False)
    if found.values:
        console.print(table("score", "value", found.values, {name: page.better(name) for name in found.values}))
    for title, by_class in found.tables.items():
        console.print(table("class", title, by_class, dict.fromkeys(by_class, page.CLASS_SCORES.get(title, ""))))
    for why in found.missing.values():
        console.print(f"not enough: {why}", markup=False)
    console.print(f"benchmark {found.benchmark_id}; rows of A: {found.samples:,}", style="dim", markup=False)


def table(first: str, second: str, estimates: Mapping[str, Estimate], better: Mapping[str, str]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    found = Table(first, second, "95 % interval", "better", box=None, header_style="dim", pad_edge=False)
    for name, estimate in estimates.items():
        low, high = estimate.interval
        found.add_row(escape(name), f"{estimate.value:.4g}", f"{low:.4g} to {high:.4g}", better.get(name, ""))
    return found


def say(words: str) -> None:
    print(f"score: {words}", file=sys.stderr, flush=True)
