"""genloop generate: images drawn by a registered model."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.load import load_params

if TYPE_CHECKING:
    import numpy as np

    from pipelines.feedback.events import Sample
    from pipelines.feedback.withheld import Filter

MOST = {".png": 4096, ".npz": 1_000_000}  # images in one file; a larger picture could not be looked at
SEEDS = 2**31  # all seeds are below
BATCH = 1024
TRIES = 20  # seeds in a row that draw what must not be shown, before we give up


def generate(count: int, label: str | None, seed: int, version: int | None, out: Path) -> None:
    out = out.absolute()
    check(count, seed, out)
    os.chdir(paths.root())
    params = load_params()

    import numpy as np

    from pipelines.feedback import all_events
    from pipelines.feedback import withheld as reported
    from pipelines.feedback.events import Sample
    from pipelines.feedback.store.event_store import Store
    from pipelines.registry import client

    drawer = client.load(params, version)
    seeds = np.arange(seed, seed + count, dtype=np.int64)
    labels = choose(label, seeds, drawer.classes, drawer.conditional)
    images, seeds, withheld = allowed(drawer, seeds, labels, reported.Filter.read(params), all_events.reported())
    files.write(out, picture(images, labels, drawer) if out.suffix == ".png" else archive(images, labels, seeds))
    if out.suffix == ".png":  # which people will look at, and may say something of; the other form says its seeds itself
        shown = labels.tolist() if drawer.conditional else [None] * count
        with Store.open() as store:
            store.add_samples(
                Sample(version=drawer.version, seed=seed, label=label)
                for seed, label in zip(seeds.tolist(), shown, strict=True)
            )
    print(f"{out}: {count} images by version {drawer.version}", file=sys.stderr)
    if withheld:
        print(f"{withheld} withheld, for people have reported such images; other seeds took their places", file=sys.stderr)


def check(count: int, seed: int, out: Path) -> None:
    if out.suffix not in MOST:
        raise InputError(f"--out {out.name}: expected a name that ends in .png or .npz")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"--out {out}: {'is a folder' if out.is_dir() else 'its folder does not exist'}")
    if not 1 <= count <= MOST[out.suffix]:
        raise InputError(f"--count {count}: expected 1 to {MOST[out.suffix]:,} for a {out.suffix} file")
    if not 0 <= seed <= SEEDS - count:
        raise InputError(f"--seed {seed}: expected 0 to {SEEDS - count}")


def choose(label: str | None, seeds: np.ndarray, classes: list[str], conditional: bool) -> np.ndarray:
    """(n,) int32: the class asked for, else the classes in turn."""
    if label is None:
        return (seeds % max(1, len(classes) if conditional else 1)).astype("int32")
    if not conditional:
        raise InputError("--label: this model draws without labels; leave it out")
    if label in classes:
        index = classes.index(label)
    elif label.isdecimal() and int(label) < len(classes):
        index = int(label)
    else:
        raise InputError(f"--label {label}: expected one of {', '.join(classes)}, or an index below {len(classes)}")
    return (seeds * 0 + index).astype("int32")


def draw(drawer, seeds: np.ndarray, labels: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(n, height, width, channels), uint8."""
    import numpy as np

    from pipelines.core.progress import Progress

    batches = []
    with Progress("generate", total=len(seeds), unit="images") as progress:
        for start in range(0, len(seeds), BATCH):
            batches.append(drawer.draw(seeds[start : start + BATCH], labels[start : start + BATCH]))
            progress.advance(len(batches[-1]))
    return np.concatenate(batches)


def allowed(  # type: ignore[no-untyped-def]
    drawer, seeds: np.ndarray, labels: np.ndarray, reported: Filter, samples: set[Sample]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Images, the seeds that they are of, and how many others were withheld.

    The next seeds after the last one replace what is withheld, in order and with its label, so that the same is drawn whenever
    the same is asked for and the same is reported.

    Args:
        samples: those that were reported; what looks like them, `reported` knows as soon as `curate` has read of it.

    Raises:
        GenloopError: one try after the other drew what must not be shown.
    """
    import numpy as np

    def unwanted(images: np.ndarray, seeds: np.ndarray, labels: np.ndarray) -> np.ndarray:
        pairs = zip(seeds.tolist(), labels.tolist(), strict=True)
        asked = [(drawer.version, seed, label if drawer.conditional else None) for seed, label in pairs]
        return reported.withheld(images) | np.array([place in named for place in asked], bool)

    named = {(sample.version, sample.seed, sample.label if drawer.conditional else None) for sample in samples}
    images, seeds = draw(drawer, seeds, labels), seeds.copy()
    waiting = np.flatnonzero(unwanted(images, seeds, labels))
    following, withheld = int(seeds[-1]) + 1, len(waiting)
    for _ in range(TRIES):
        if not len(waiting) or following + len(waiting) > SEEDS:
            break
        seeds[waiting] = following + np.arange(len(waiting))
        following += len(waiting)
        images[waiting] = draw(drawer, seeds[waiting], labels[waiting])
        waiting = waiting[unwanted(images[waiting], seeds[waiting], labels[waiting])]
        withheld += len(waiting)
    if len(waiting):
        classes = f", of the class {drawer.classes[labels[waiting[0]]]}" if drawer.conditional and drawer.classes else ""
        raise GenloopError(
            f"{withheld} images, as this model draws them, are too near to what people have reported{classes}; lower "
            "feedback.report_reach, take another --seed, or train a model that has learned from the reports (`genloop run`)"
        )
    return images, seeds, withheld


def picture(images: np.ndarray, labels: np.ndarray, drawer) -> bytes:  # type: ignore[no-untyped-def]
    from pipelines.core import grids

    if drawer.conditional:
        page = grids.by_class(images, labels, drawer.classes)
    else:
        page = grids.grid(images, columns=min(16, len(images)))
    return grids.png(page)


def archive(images: np.ndarray, labels: np.ndarray, seeds: np.ndarray) -> bytes:
    import numpy as np

    content = io.BytesIO()
    np.savez(content, images=images, labels=labels, seeds=seeds)
    return content.getvalue()
