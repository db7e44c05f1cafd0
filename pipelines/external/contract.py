"""The contract of a sampler as checks: what it generates has the right form, comes again for the same seed, and differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np

from pipelines.core.errors import GenloopError
from pipelines.models.base import ImageSpec

SEEDS = 8
PART = 3  # of them in the first of two batches

State = Literal["ok", "failed", "not to be had"]
Returned = TypeVar("Returned")


class ContractModel(Protocol):
    """What is examined: an `ExternalGenerator`, or anything that generates like one. folder: with its code and weights."""

    folder: Path
    spec: ImageSpec
    classes: list[str]
    conditional: bool
    deterministic: bool

    @property
    def walks(self) -> bool: ...

    @property
    def varies(self) -> bool: ...

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray: ...

    def check_weights(self) -> None: ...


@dataclass(frozen=True)
class ContractResult:
    """What a check found. words: what came. advice: how to mend a failure, empty otherwise."""

    name: str
    state: State
    words: str
    advice: str = ""


def require(results: Sequence[ContractResult]) -> None:
    """Raises GenloopError, with a line for each failure, where the contract is not kept."""
    if failures := [result for result in results if result.state == "failed"]:
        lines = (f"{result.name}: {result.words}; {result.advice}" for result in failures)
        raise GenloopError("the model does not keep the contract, so it was not saved: " + "\n".join(lines))


def examine(generator: ContractModel) -> list[ContractResult]:
    """What all checks find. The first one that fails without an image ends them."""
    return list(checks(generator))


def checks(generator: ContractModel) -> Iterator[ContractResult]:
    before = file_states(generator.folder)
    seeds = np.arange(SEEDS, dtype=np.int64)
    labels = label_seeds(generator, 0)
    images, failure = attempt(lambda: generator.draw(seeds, labels))
    if images is None:
        yield ContractResult(
            "draw", "failed", failure, "mend what it says; the sampler is called draw(seeds, labels or prompts)"
        )
        return
    size, channels = generator.spec.size, generator.spec.channels
    expected = (SEEDS, size, size, channels)
    if images.shape != expected or images.dtype != np.uint8:
        yield ContractResult(
            "draw", "failed", f"came {images.dtype} {images.shape}, expected uint8 {expected}", "return one image for each seed"
        )
        return
    yield ContractResult("draw", "ok", f"{SEEDS} images of {size}x{size}, {channels} channel{'s' * (channels > 1)}, uint8")
    yield from repetitions(generator, seeds, labels, images)
    yield variety(images, labels)
    yield dependence_on_labels(generator, seeds, labels, images)
    yield walk(generator, seeds, labels, images)
    yield from variations(generator, labels)
    yield model_files(generator, before)


def repetitions(
    generator: ContractModel, seeds: np.ndarray, labels: np.ndarray | None, images: np.ndarray
) -> Iterator[ContractResult]:
    """The same seeds again, and in two batches."""

    def parts() -> np.ndarray:
        ranges = (slice(PART), slice(PART, None))
        return np.concatenate([generator.draw(seeds[part], None if labels is None else labels[part]) for part in ranges])

    advice = (
        "let everything random in an image come from its own seed, or say `deterministic: false` in the manifest, and an image "
        "that was voted on cannot be generated again"
    )
    for name, call in (("twice", lambda: generator.draw(seeds, labels)), (f"batches of {PART} and {SEEDS - PART}", parts)):
        again, failure = attempt(call)
        if again is None:
            yield ContractResult(name, "failed", failure, "mend what it says: the first call came to an end")
            continue
        differing = int((again != images).reshape(len(images), -1).any(axis=1).sum())
        if not differing:
            yield ContractResult(name, "ok", "the same images")
        elif generator.deterministic:
            yield ContractResult(name, "failed", f"{differing} of {SEEDS} images are others for the same seeds", advice)
        else:
            words = f"{differing} of {SEEDS} images are others for the same seeds, as `deterministic: false` says"
            yield ContractResult(name, "not to be had", words)


def variety(images: np.ndarray, labels: np.ndarray | None) -> ContractResult:
    """Whether another seed is another image, of the same class."""
    given = np.zeros(len(images), np.int32) if labels is None else labels
    groups = [images[given == label] for label in np.unique(given)]
    if all(count_different(group) == 1 for group in groups):
        words = f"for {len(groups[0])} seeds all images of a class are the same"
        return ContractResult("variety", "failed", words, "the model has collapsed, or its sampler does not use the seed")
    return ContractResult("variety", "ok", f"{count_different(images)} different images of {SEEDS}")


def count_different(images: np.ndarray) -> int:
    return len({image.tobytes() for image in images})


def dependence_on_labels(
    generator: ContractModel, seeds: np.ndarray, labels: np.ndarray | None, images: np.ndarray
) -> ContractResult:
    """Whether another class is another image. That it is not is no fault, but is to be known."""
    if labels is None or len(generator.classes) < 2:
        return ContractResult("labels", "not to be had", "it is not asked for classes")
    others, failure = attempt(lambda: generator.draw(seeds, label_seeds(generator, 1)))
    if others is None:
        return ContractResult("labels", "failed", failure, "mend what it says: it can be asked for every class")
    differing = int((others != images).reshape(len(images), -1).any(axis=1).sum())
    words = f"with another label {differing} of {SEEDS} images are others"
    return ContractResult("labels", "ok", words if differing else f"{words}: its images do not depend on the class")


def walk(generator: ContractModel, seeds: np.ndarray, labels: np.ndarray | None, images: np.ndarray) -> ContractResult:
    """Whether the ends of a walk are the images themselves."""
    walks, failure = attempt(lambda: np.array(generator.walks))
    if walks is None:
        return ContractResult("walk", "failed", failure, "mend what it says: the sampler is asked what it offers")
    if not walks:
        return ContractResult("walk", "not to be had", "the sampler has no `walk`, so there is no path_length")
    others = np.roll(seeds, 1)
    at = (np.arange(SEEDS) % 2).astype(np.float64)
    # Where the share is 1, the image is that of the other seed, with the label of this one.
    ends, failure = attempt(lambda: generator.walk(seeds, others, at, labels))
    if ends is None:
        return ContractResult("walk", "failed", failure, "mend what it says, or leave `walk` out of the sampler")
    expected, failure = attempt(lambda: generator.draw(np.where(at == 1, others, seeds), labels))
    if expected is None:
        return ContractResult("walk", "failed", failure, "mend what it says: the first call came to an end")
    if not generator.deterministic:
        return ContractResult("walk", "not to be had", "its ends cannot be compared, as `deterministic: false` says")
    differing = int((ends != expected).reshape(SEEDS, -1).any(axis=1).sum())
    if differing:
        return ContractResult(
            "walk",
            "failed",
            f"at its ends {differing} of {SEEDS} images are not those of the seeds themselves",
            "let walk give the image of `starts` at 0 and that of `ends` at 1, or leave it out of the sampler",
        )
    return ContractResult("walk", "ok", "its ends are the images of the seeds")


def model_files(generator: ContractModel, before: dict[str, tuple[int, int]]) -> ContractResult:
    """Whether the sampler has left its code and weights alone: a version is these files, and its next start checks them."""
    _, failure = attempt(generator.check_weights)
    now = file_states(generator.folder)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if not failure and not changed:
        return ContractResult("model files", "ok", "the sampler writes none")
    advice = (
        "let the sampler write to the folder that the variable TMPDIR names, as Python's tempfile does, or to one of your own"
    )
    words = failure if not changed else f"the sampler has written {', '.join(changed[:3])} among the files of the model"
    return ContractResult("model files", "failed", words, advice)


def file_states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file by its path below `folder`, but for what Python compiles, which no version carries."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    states = ((path, path.stat()) for path in paths)
    return {path.relative_to(folder).as_posix(): (state.st_size, state.st_mtime_ns) for path, state in states}


def variations(generator: ContractModel, labels: np.ndarray | None) -> Iterator[ContractResult]:
    """Whether the sampler's own variations begin at the image itself. Without any they go along its walk, which is checked."""
    advice = "mend what it says, or leave `variations` out of the sampler"
    own, failure = attempt(lambda: generator.varies)
    if own is None:
        yield ContractResult("variations", "failed", failure, advice)
    if not own:
        return
    seed, label = SEEDS - 1, None if labels is None else int(labels[-1])
    itself, failure = attempt(lambda: generator.variations(seed, 0.0, PART, label))
    near, failed_near = attempt(lambda: generator.variations(seed, 0.5, PART, label))
    expected, failed_draw = attempt(lambda: generator.draw(np.full(PART, seed), None if labels is None else labels[-PART:]))
    if itself is None or near is None or expected is None:
        yield ContractResult("variations", "failed", failure or failed_near or failed_draw, advice)
    elif not generator.deterministic:
        yield ContractResult("variations", "not to be had", "they cannot be compared, as `deterministic: false` says")
    elif not np.array_equal(itself, expected):
        yield ContractResult(
            "variations",
            "failed",
            "at strength 0 they are not the image of the seed itself",
            "let variations give the image of `seeds` where `strength` is 0, or leave it out of the sampler",
        )
    else:
        yield ContractResult("variations", "ok", f"at strength 0 the image itself; {count_different(near)} of {PART} at 0.5")


def label_seeds(generator: ContractModel, shift: int) -> np.ndarray | None:
    """(SEEDS,) int32: labels of two classes, half of each, to compare seeds; None where it is not asked for any."""
    if not generator.conditional:
        return None
    return ((np.arange(SEEDS) // (SEEDS // 2) + shift) % len(generator.classes)).astype(np.int32)


def attempt(call: Callable[[], Returned]) -> tuple[Returned | None, str]:
    """What a call returns, or why there is nothing, in words."""
    try:
        return call(), ""
    except Exception as error:  # of the worker's, and of what it passes on
        return None, str(error) or type(error).__name__
