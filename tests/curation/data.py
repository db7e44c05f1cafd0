"""A small project with data, and what `curate` makes of the feedback in it."""

from __future__ import annotations

import csv
import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import curate
from pipelines.core import facts, files, images, png, reports, shards
from pipelines.core.project import Project
from pipelines.feedback import curated
from tests.conftest import MakeParams
from tests.contracts import pictures
from tests.curation.sealed import Feedback

TRAIN, HELD_OUT = 200, 40  # rows, of two classes by turns


@functools.cache
def data() -> tuple[np.ndarray, facts.Facts]:
    pixels = pictures(TRAIN + HELD_OUT, 16, 1)
    return pixels, facts.measure_images(pixels, [images.row_id(image) for image in pixels], [-1] * len(pixels), "#000000")


class Curation:
    """A project with data. feedback: what people do, to be added to before `curate` is called."""

    def __init__(self, project: Project, make_params: MakeParams, classes: list[str]) -> None:
        self.project, self.make_params, self.classes, self.feedback = project, make_params, classes, Feedback()
        self.pixels, measured = data()
        self.ids = [images.row_id(image) for image in self.pixels]
        self.seed = 0
        self.write_rows(list(self.pixels))
        project.facts.mkdir(parents=True)
        facts.write(measured, self.facts_file)

    @property
    def facts_file(self) -> Path:
        return self.project.facts / "facts.parquet"

    def write_rows(self, pixels: list[np.ndarray]) -> None:
        with files.replacement(self.project.clean) as folder, shards.ShardWriter(folder, classes=self.classes) as writer:
            for number, image in enumerate(pixels):
                writer.add(
                    {"image": {"bytes": png.encode(image), "path": None}, "label": number % 2 if self.classes else None,
                     "row_id": images.row_id(image), "source": "test", "origin": "real", "generation": 0, "weight": 1.0,
                     "events": [], "split": "train" if number < TRAIN else "holdout"}
                )  # fmt: skip

    def new(self, count: int, size: int = 16, channels: int = 1) -> np.ndarray:
        """Pictures that are like no other."""
        self.seed += 1
        return pictures(count, size, channels, self.seed)

    def curate(self, changes: dict[str, Any] | None = None, batches: Sequence[str] = ("a",)) -> dict[str, Any]:
        """The report."""
        self.feedback.seal(self.project, batches)
        curate.run(self.project, self.make_params(changes))
        return reports.read(self.project.reports, "feedback")

    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in shards.read(self.project.curated) for row in batch.to_pylist()]

    def table(self, name: str) -> list[dict[str, Any]]:
        return curated.read_table(self.project.curated, name).to_pylist()

    def changes(self) -> dict[str, tuple[int | None, bool]]:
        return {change["row_id"]: (change["label"], change["removed"]) for change in self.table("changes")}

    def rejected(self) -> list[dict[str, Any]]:
        """The rows in quarantine."""
        return [row for batch in shards.read(self.project.quarantine / "feedback") for row in batch.to_pylist()]

    def quarantine(self) -> Counter[str]:
        return Counter(row["reason"] for row in self.rejected())

    def raters(self) -> dict[str, dict[str, str]]:
        text = (self.project.reports / "raters.csv").read_text(encoding="utf-8")
        return {row["rater"]: row for row in csv.DictReader(text.splitlines())}
