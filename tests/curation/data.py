"""A small project with data, and what `curate` made of the feedback in it."""

from __future__ import annotations

import csv
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines import curate
from pipelines.core import facts, files, images, paths, reports, shards
from pipelines.feedback import curated
from tests.conftest import MakeParams
from tests.contracts import pictures
from tests.curation.sealed import Feedback

TRAIN, HELD_OUT = 200, 40  # rows, of two classes by turns


@functools.cache
def data() -> tuple[np.ndarray, facts.Facts]:
    pixels = pictures(TRAIN + HELD_OUT, 16, 1)
    return pixels, facts.of(pixels, [images.row_id(image) for image in pixels], [-1] * len(pixels), "#000000")


class Project:
    """said: what people say, to be added to before `curate` is called."""

    def __init__(self, make_params: MakeParams, classes: list[str]) -> None:
        self.settings, self.classes, self.said = make_params, classes, Feedback()
        self.pixels, measured = data()
        self.ids = [images.row_id(image) for image in self.pixels]
        self.seed = 0
        self.write_rows(list(self.pixels))
        paths.FACTS.mkdir(parents=True)
        facts.write(measured, paths.FACTS / "facts.parquet")

    def write_rows(self, pixels: list[np.ndarray]) -> None:
        with files.replacing(paths.CLEAN) as folder, shards.Writer(folder, classes=self.classes) as writer:
            for number, image in enumerate(pixels):
                writer.add(
                    {"image": {"bytes": images.encode_png(image), "path": None}, "label": number % 2 if self.classes else None,
                     "row_id": images.row_id(image), "source": "test", "origin": "real", "generation": 0, "weight": 1.0,
                     "events": [], "split": "train" if number < TRAIN else "holdout"}
                )  # fmt: skip

    def new(self, count: int, size: int = 16, channels: int = 1) -> np.ndarray:
        """Pictures that are like no other."""
        self.seed += 1
        return pictures(count, size, channels, self.seed)

    def curate(self, changes: dict[str, Any] | None = None, batches: Sequence[str] = ("a",)) -> dict[str, Any]:
        """The report."""
        self.said.seal(batches)
        curate.run(self.settings(changes))
        return reports.read("feedback")


def rows() -> list[dict[str, Any]]:
    return [row for batch in shards.read(paths.CURATED) for row in batch.to_pylist()]


def table(name: str) -> list[dict[str, Any]]:
    return curated.read_table(paths.CURATED, name).to_pylist()


def changes() -> dict[str, tuple[int | None, bool]]:
    return {change["row_id"]: (change["label"], change["removed"]) for change in table("changes")}


def quarantine() -> Counter[str]:
    found = [batch.to_pylist() for batch in shards.read(paths.QUARANTINE / "feedback")]
    return Counter(row["reason"] for batch in found for row in batch)


def raters() -> dict[str, dict[str, str]]:
    text = (paths.REPORTS / "raters.csv").read_text(encoding="utf-8")
    return {row["rater"]: row for row in csv.DictReader(text.splitlines())}
