"""The training rows as an external trainer gets them: Parquet shards, or files and a table; none is of the holdout."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core import files, images, rows, shards
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.scoring import approval
from pipelines.settings.manifest import ExternalManifest
from pipelines.settings.schema import Params
from pipelines.training import collapse, dataset
from pipelines.training.dataset import Dataset, WeightFactors

COLUMNS = ("image", "label", "row_id", "origin", "generation", "weight", "split")
SCHEMA = pa.schema([shards.ROW.field(name) for name in COLUMNS])  # label: index into the job's classes, null for none
TABLE, IMAGES = "rows.csv", "images"  # of the data as files
SAMPLE_BYTES = 2**28  # of images in memory, by which the variety of generated ones is measured


@dataclass
class SampleRows:
    """Rows in memory, the first ones of each class: enough to know how much real images differ."""

    most_bytes: int = SAMPLE_BYTES
    images: list[np.ndarray] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    taken: int = 0  # bytes

    def offer(self, label: int, png: bytes) -> None:
        if self.counts.get(label, 0) >= collapse.REAL_ROWS or self.taken >= self.most_bytes:
            return
        pixels = images.decode_pixels(png)
        self.images.append(pixels)
        self.labels.append(label)
        self.counts[label] = self.counts.get(label, 0) + 1
        self.taken += pixels.nbytes


@dataclass(frozen=True)
class ExportedRows:
    """count: of the training rows. unlabelled: rows left out, because the others have labels. classes: their names.

    present: the classes that have rows, rising. sample: some of the rows, in memory; their labels are 0 without classes.
    """

    count: int
    unlabelled: int
    classes: list[str]
    present: list[int]
    sample: Dataset


def export(project: Project, params: Params, manifest: ExternalManifest, folder: Path) -> ExportedRows:
    """Write the training rows into `folder`, whole or not at all; where it is there, they are only counted.

    Raises:
        InputError: too few rows for a batch, rows of another size than params say, or weights that are no weights.
    """
    classes = shards.classes(project.clean) if manifest.conditional else []
    sample, weights, present, unlabelled = SampleRows(), [], set(), 0
    with ExitStack() as stack:
        writer: ShardExport | FileExport | None = None
        if not folder.is_dir():
            target = stack.enter_context(files.replacement(folder))
            writer = FileExport(target, classes) if manifest.data == "files" else ShardExport(target, classes)
            stack.enter_context(writer)
        for row in training_rows(project):
            if not classes:
                row["label"] = None
            elif row["label"] is None:
                unlabelled += 1
                continue
            weights.append(row["weight"])
            present.add(row["label"] or 0)
            sample.offer(row["label"] or 0, row["image"]["bytes"])
            if writer is not None:
                writer.add(row)
        if not weights:
            raise rows.no_rows(project.clean, "train")
        stacked = rows.stack(sample.images, project.clean)
        dataset.check_rows(project, params, len(weights), unlabelled, stacked.shape[1:])
        dataset.check_weights(project, np.array(weights, np.float64))
    labels = np.array(sample.labels, np.int32)
    return ExportedRows(
        len(weights), unlabelled, classes, sorted(present), Dataset(stacked, labels, np.ones(len(labels)), classes, unlabelled)
    )


def training_rows(project: Project) -> Iterator[dict[str, Any]]:
    """The rows of data/clean with their changes and weights, then those of data/curated, by COLUMNS; images stay encoded."""
    changes = {change["row_id"]: change for change in curated.read_table(project.curated, "changes").to_pylist()}
    factors = WeightFactors(approval.weights(project.approval))
    with Progress("train: read", shards.count(project.clean) + shards.count(project.curated), "rows") as progress:
        for folder in (project.clean, project.curated):
            for batch in shards.read(folder, COLUMNS):
                batch = rows.select(batch, "train", None)
                progress.advance(len(batch))
                found = factors.find(batch["row_id"].to_numpy(zero_copy_only=False)) if folder == project.clean else None
                for number, row in enumerate(batch.to_pylist()):
                    if folder == project.clean:
                        change = changes.get(row["row_id"])
                        if change is not None and change["removed"]:
                            continue
                        if change is not None and change["label"] is not None:
                            row["label"] = change["label"]
                    factor = 1.0 if found is None else float(found[number])
                    yield {**row, "weight": float(np.float32(row["weight"] * factor))}


class ShardExport(shards.ShardWriter):
    """part-*.parquet, which Hugging Face `datasets` reads as an image data set."""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, SCHEMA, classes)


class FileExport:
    """images/ROW_ID.png and rows.csv, with the path of each image and its facts; the label is empty where there is none."""

    columns = ("file", "row_id", "label", "class", "weight", "origin", "generation", "split")

    def __init__(self, folder: Path, classes: list[str]) -> None:
        self.folder, self.classes = folder, classes
        (folder / IMAGES).mkdir(parents=True)

    def __enter__(self) -> FileExport:
        self.file = (self.folder / TABLE).open("w", newline="", encoding="utf-8")
        self.table = csv.DictWriter(self.file, self.columns, lineterminator="\n", extrasaction="ignore")
        self.table.writeheader()
        return self

    def add(self, row: dict[str, Any]) -> None:
        name = f"{IMAGES}/{row['row_id']}.png"
        (self.folder / name).write_bytes(row["image"]["bytes"])
        label = row["label"]
        self.table.writerow({**row, "file": name, "class": "" if label is None else self.classes[label]})

    def __exit__(self, *error: object) -> None:
        self.file.close()
